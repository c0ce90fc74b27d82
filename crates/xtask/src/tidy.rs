//! `cargo xtask tidy`: the rules of the house that no compiler knows. Rules are data in [`policy`]; each check is a
//! function from text to findings.

mod bans;
mod dependencies;
mod finding;
mod layers;
mod machine_paths;
mod manifest;
mod policy;
mod rust;
mod sizes;
mod sql;

use anyhow::{Context, Result, bail};

use self::{finding::Finding, manifest::Manifest, policy::OVERSIZED_LIST, rust::Source};
use crate::repo;

/// Checks the whole checkout; prints each finding on a line.
pub(crate) fn run() -> Result<()> {
    let root = repo::root();
    let mut findings = Vec::new();
    let mut sources = Vec::new();
    let mut oversized = String::new();
    let files = repo::files()?;
    for path in &files {
        let bytes = std::fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        let Ok(text) = String::from_utf8(bytes) else { continue }; // images and other binary files hold no rules
        findings.extend(check_file(path, &text, &mut sources));
        if path == OVERSIZED_LIST {
            oversized = text;
        }
    }
    findings.extend(sizes::check(&sources, &oversized, &repo::history(OVERSIZED_LIST)?));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} to put right", findings.len());
    }
    println!("tidy: {} files are in order", files.len());
    Ok(())
}

/// Everything that can be said of a file by itself. Rust files are kept for the checks that compare files.
fn check_file(path: &str, text: &str, sources: &mut Vec<Source>) -> Vec<Finding> {
    let mut findings = machine_paths::check(path, text);
    if path == "Cargo.lock" {
        findings.extend(dependencies::check_lock(path, text));
    } else if path.ends_with("Cargo.toml") {
        match Manifest::parse(path, text) {
            Ok(manifest) => {
                findings.extend(layers::check(&manifest));
                findings.extend(dependencies::check(&manifest, text));
            }
            Err(finding) => findings.push(finding),
        }
    } else if path.ends_with(".rs") {
        match Source::parse(path, text) {
            Ok(source) => {
                findings.extend(bans::check(&source));
                findings.extend(sql::check(&source));
                sources.push(source);
            }
            Err(finding) => findings.push(finding),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_file_meets_its_checks() {
        let check = |path: &str, text: &str| check_file(path, text, &mut Vec::new()).len();
        assert_eq!(check("Cargo.lock", "name = \"openssl-sys\"\n"), 1);
        assert_eq!(check("crates/pdu/Cargo.toml", "[dependencies]\nmyelin-api.workspace = true\n"), 2);
        assert_eq!(check("crates/rooms/src/a.rs", "fn f() { Instant::now(); g(\"SELECT 1\") }"), 2);
        assert_eq!(check("docs/a.md", "Instant::now and SELECT 1 are fine in prose"), 0);
    }

    #[test]
    fn binary_and_unreadable_files_do_not_stop_the_run() {
        assert_eq!(check_file("crates/a/src/a.rs", "fn f( {", &mut Vec::new()).len(), 1);
        assert_eq!(check_file("crates/a/Cargo.toml", "[", &mut Vec::new()).len(), 1);
    }
}
