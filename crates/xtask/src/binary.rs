//! The server's binary, built for tests that run it.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::repo;

/// What builds it.
const BUILD: &[&str] =
    &["build", "--release", "-p", "myelin-server", "--message-format=json-render-diagnostics"];

/// Builds the server as it is released, and says where it is.
pub(crate) fn build() -> Result<PathBuf> {
    println!("   cargo {}", BUILD.join(" "));
    let output = Command::new("cargo")
        .args(BUILD)
        .current_dir(repo::root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the server does not build");
    }
    executable(&String::from_utf8_lossy(&output.stdout))
        .context("cargo did not say where the server's binary is")
}

/// The program among the artifacts that cargo reports.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut paths = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    paths.find(|path| path.file_stem().is_some_and(|name| name == "myelin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_other_artifacts() {
        let messages = r#"{"reason":"compiler-artifact","executable":null}
not json
{"reason":"compiler-artifact","executable":"/t/release/other"}
{"reason":"compiler-artifact","executable":"/t/release/myelin"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/myelin")));
        assert_eq!(executable("{}"), None);
    }
}
