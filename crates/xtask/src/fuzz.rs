//! Runs every fuzz target of `fuzz/` for a while.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    provision::{Need, Origin},
    repo,
};

/// How long each target runs.
const SECONDS_EACH: u32 = 60;

/// Memory that a target may take; more is a finding.
const MEGABYTES: u32 = 1024;

/// The sanitizers are only in nightly compilers, and libFuzzer is C++.
pub(crate) const NEEDS: &[Need] = &[
    Need { name: "a C++ compiler", probe: &["c++", "--version"], from: Origin::Debian(&["g++"]) },
    Need {
        name: "the nightly toolchain",
        probe: &["cargo", "+nightly", "--version"],
        from: Origin::Command(&["rustup", "toolchain", "install", "nightly", "--profile", "minimal"]),
    },
    Need {
        name: "cargo-fuzz",
        probe: &["cargo", "+nightly", "fuzz", "--version"],
        from: Origin::Command(&["cargo", "install", "--locked", "cargo-fuzz"]),
    },
];

/// Runs each target for [`SECONDS_EACH`]; all of them, also after one that fails.
pub(crate) fn run() -> Result<()> {
    NEEDS.iter().try_for_each(Need::ensure)?;
    let targets = targets()?;
    let folder = repo::root().join("fuzz");
    let seeds = folders(&folder.join("seeds"))?;
    let limits = [format!("-max_total_time={SECONDS_EACH}"), format!("-rss_limit_mb={MEGABYTES}")];
    let mut failed = Vec::new();
    for target in &targets {
        println!("   {target}, {SECONDS_EACH} s");
        // What it finds goes into the first folder; the seeds are only read. Every target may read the seeds of all.
        let corpus = folder.join("corpus").join(target);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
        let mut run = fuzz();
        run.args(["run", target]).arg(corpus).args(&seeds).arg("--").args(&limits);
        if !run.status().context("cannot run cargo fuzz")?.success() {
            failed.push(target.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("found something: {} (inputs lie in fuzz/artifacts)", failed.join(", "));
    }
    Ok(())
}

/// The folders in a folder.
fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot read {}", parent.display());
    let mut folders = Vec::new();
    for entry in fs::read_dir(parent).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

fn targets() -> Result<Vec<String>> {
    let output = fuzz().arg("list").output().context("cannot run cargo fuzz")?;
    if !output.status.success() {
        bail!("cargo fuzz list: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let targets: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    if targets.is_empty() {
        bail!("fuzz/ has no targets");
    }
    Ok(targets)
}

fn fuzz() -> Command {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz"]).current_dir(repo::root());
    command
}
