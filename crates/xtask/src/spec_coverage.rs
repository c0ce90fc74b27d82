//! `cargo xtask spec-coverage`: writes which operations of the specification are served.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::repo;

/// Has the test that compares the file with the router write it first.
pub(crate) fn run() -> Result<()> {
    let status = Command::new("cargo")
        .args(["test", "--quiet", "-p", "myelin-testkit", "--test", "http", "spec_coverage"])
        .current_dir(repo::root())
        .env("UPDATE_SPEC_COVERAGE", "yes")
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the coverage could not be written");
    }
    let path = repo::root().join("conformance/spec-coverage.txt");
    let text = std::fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    println!("{}\n{}", text.lines().next().unwrap_or_default(), path.display());
    Ok(())
}
