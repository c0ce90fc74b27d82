//! The checkout that this program works on.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

/// The root of the repository. Cargo says at run time which checkout it is: where two share a target folder, this
/// program may have been built from the other.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let here = Path::new(&here);
    here.ancestors().nth(2).expect("crates/xtask lies two folders below the root").to_owned()
}

/// Paths of all files that are tracked or about to be (neither tracked nor ignored), from the root, sorted.
pub(crate) fn files() -> Result<Vec<String>> {
    let listed = git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let mut files: Vec<String> =
        listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    files.retain(|path| root().join(path).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

/// A file's committed versions, oldest first. A shallow clone knows only some of them.
pub(crate) fn history(path: &str) -> Result<Vec<String>> {
    let commits = git(&["log", "--reverse", "--format=%H", "--diff-filter=AM", "--", path])?;
    commits.lines().map(|commit| git(&["show", &format!("{commit}:{path}")])).collect()
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").args(arguments).current_dir(root()).output().context(
        "cannot run git, which lists the files to check; install it (Debian: apt-get install git)",
    )?;
    if !output.status.success() {
        bail!("git {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("git listed a name that is not UTF-8")
}
