//! Dependencies are named once, with a reason, and some never.

use super::{
    finding::Finding,
    manifest::{Dependency, Manifest},
    policy::{FORBIDDEN_FEATURES, LOCKED_OUT, RESERVED_PACKAGES},
};

const REASON: &str = "end the line with `# why it is needed`";

/// Rules of one manifest, whose text is given for the reasons in it.
pub(crate) fn check(manifest: &Manifest, text: &str) -> Vec<Finding> {
    let mut findings = missing_reasons(manifest, text);
    let all = manifest.dependencies.iter().chain(&manifest.workspace_dependencies);
    findings.extend(all.flat_map(|dependency| forbidden_features(&manifest.path, dependency)));
    if let Some(folder) = manifest.crate_folder() {
        findings.extend(reserved_packages(manifest, folder));
        findings.extend(not_inherited(manifest));
        if !manifest.inherits_lints {
            let instead = "add `[lints]` with `workspace = true`";
            findings.push(Finding::new(&manifest.path, 1, "does not use the workspace's lints", instead));
        }
    }
    findings
}

/// Packages of the server's lock file that may not be there.
pub(crate) fn check_lock(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let name = line.strip_prefix("name = \"").and_then(|rest| rest.strip_suffix('"'));
        if let Some(name) = name.filter(|name| LOCKED_OUT.contains(name)) {
            let instead = format!("find who wants it (`cargo tree -i {name}`) and choose its rustls feature");
            findings.push(Finding::new(
                path,
                index + 1,
                format!("`{name}` is in the server's tree"),
                instead,
            ));
        }
    }
    findings
}

fn missing_reasons(manifest: &Manifest, text: &str) -> Vec<Finding> {
    let lines: Vec<&str> = text.lines().collect();
    let outside = manifest.workspace_dependencies.iter().filter(|dependency| !dependency.local);
    let bare =
        outside.filter(|dependency| !lines.get(dependency.line - 1).is_some_and(|line| has_comment(line)));
    bare.map(|dependency| {
        let what = format!("`{}` is there without a reason", dependency.package);
        Finding::new(&manifest.path, dependency.line, what, REASON)
    })
    .collect()
}

/// Whether a line of TOML ends with a comment that says something; a `#` in a string is none.
fn has_comment(line: &str) -> bool {
    let mut quoted = false;
    for (at, sign) in line.char_indices() {
        match sign {
            '"' => quoted = !quoted,
            '#' if !quoted => return line[at + 1..].trim().len() > 2,
            _ => {}
        }
    }
    false
}

fn not_inherited(manifest: &Manifest) -> Vec<Finding> {
    // A crate may name itself, by its folder, to turn on its own features in its tests.
    let itself = manifest.crate_folder().map(|folder| format!("myelin-{folder}"));
    let is_itself =
        |dependency: &Dependency| dependency.local && itself.as_ref() == Some(&dependency.package);
    let own =
        manifest.dependencies.iter().filter(|dependency| !dependency.inherited && !is_itself(dependency));
    own.map(|dependency| {
        let what = format!("`{}` is declared here and not in the root", dependency.package);
        let instead = "name it in [workspace.dependencies] and write `workspace = true` here";
        Finding::new(&manifest.path, dependency.line, what, instead)
    })
    .collect()
}

fn reserved_packages(manifest: &Manifest, folder: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (package, crates, instead) in
        RESERVED_PACKAGES.iter().filter(|(_, crates, _)| !crates.contains(&folder))
    {
        for dependency in manifest.dependencies.iter().filter(|dependency| dependency.package == *package) {
            let what = format!("`{package}` is for {} only", crates.join(" and "));
            findings.push(Finding::new(&manifest.path, dependency.line, what, *instead));
        }
    }
    findings
}

fn forbidden_features(path: &str, dependency: &Dependency) -> Vec<Finding> {
    let forbidden = FORBIDDEN_FEATURES.iter().filter(|(package, feature, _)| {
        dependency.package == *package && dependency.features.iter().any(|name| name == feature)
    });
    forbidden
        .map(|(package, feature, instead)| {
            Finding::new(path, dependency.line, format!("feature `{feature}` of `{package}`"), *instead)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finding::summary;

    fn found(path: &str, text: &str) -> Vec<String> {
        summary(&check(&Manifest::parse(path, text).unwrap(), text))
    }

    #[test]
    fn every_package_from_outside_has_a_reason() {
        let text = "[workspace.dependencies]\n\
            a = \"1\" # because\n\
            b = \"2\"\n\
            c = { version = \"3\", features = [\"#x\"] }\n\
            d = \"4\" #\n\
            myelin-e = { path = \"crates/e\" }\n";
        assert_eq!(
            found("Cargo.toml", text),
            [
                "Cargo.toml:3: `b` is there without a reason",
                "Cargo.toml:4: `c` is there without a reason",
                "Cargo.toml:5: `d` is there without a reason",
            ]
        );
    }

    #[test]
    fn crates_inherit_dependencies_and_lints() {
        let text = "[dependencies]\na = \"1\"\nb.workspace = true\n";
        assert_eq!(
            found("crates/pdu/Cargo.toml", text),
            [
                "crates/pdu/Cargo.toml:2: `a` is declared here and not in the root",
                "crates/pdu/Cargo.toml:1: does not use the workspace's lints",
            ]
        );
        assert!(found("crates/pdu/Cargo.toml", "[lints]\nworkspace = true\n").is_empty());
        assert!(found("clients/Cargo.toml", text).is_empty());
    }

    #[test]
    fn a_crate_may_turn_on_its_own_features_in_its_tests() {
        let text = "[dev-dependencies]\nmyelin-store = { path = \".\", features = [\"conformance\"] }\n\
            [lints]\nworkspace = true\n";
        assert!(found("crates/store/Cargo.toml", text).is_empty());
        assert_eq!(found("crates/store-sql/Cargo.toml", text).len(), 1);
    }

    #[test]
    fn batch_verification_cannot_be_turned_on() {
        let text = "[dependencies]\ned25519-dalek = { workspace = true, features = [\"batch\"] }\n[lints]\nworkspace = true\n";
        assert_eq!(
            found("crates/pdu/Cargo.toml", text),
            ["crates/pdu/Cargo.toml:2: feature `batch` of `ed25519-dalek`"]
        );
        assert_eq!(found("fuzz/Cargo.toml", text).len(), 1);
    }

    #[test]
    fn sql_drivers_and_randomness_have_one_place() {
        let text = "[dependencies]\nrusqlite.workspace = true\n[dev-dependencies]\nrand.workspace = true\n\
            [lints]\nworkspace = true\n";
        assert_eq!(
            found("crates/rooms/Cargo.toml", text),
            [
                "crates/rooms/Cargo.toml:4: `rand` is for runtime only",
                "crates/rooms/Cargo.toml:2: `rusqlite` is for store-sql only",
            ]
        );
        assert_eq!(found("crates/store-sql/Cargo.toml", text).len(), 1);
        assert!(found("clients/Cargo.toml", text).is_empty());
    }

    #[test]
    fn openssl_is_locked_out() {
        let lock = "[[package]]\nname = \"rustls\"\n\n[[package]]\nname = \"openssl-sys\"\n";
        assert_eq!(
            summary(&check_lock("Cargo.lock", lock)),
            ["Cargo.lock:5: `openssl-sys` is in the server's tree"]
        );
    }
}
