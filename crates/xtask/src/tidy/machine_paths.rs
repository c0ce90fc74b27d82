//! What is committed must not know the machine it was written on.

use super::{finding::Finding, policy::MACHINE_ROOTS};

/// Absolute paths into a developer's folders, in any text file.
pub(crate) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(root) = MACHINE_ROOTS.iter().find(|root| names_folder(line, root)) {
            let what = format!("names a path of somebody's machine (/{root}/...)");
            findings.push(Finding::new(
                path,
                index + 1,
                what,
                "make it relative or take it from the environment",
            ));
        }
    }
    findings
}

/// Whether a folder of that name stands in the line at the beginning of a path and not inside of one.
fn names_folder(line: &str, root: &str) -> bool {
    let folder = format!("/{root}/");
    line.match_indices(&folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        let inside = |sign: char| {
            sign.is_alphanumeric() || matches!(sign, '.' | '_' | '-' | '}' | ')' | '>' | '~' | '*')
        };
        !before.is_some_and(inside)
            && after.is_some_and(|sign| sign.is_alphanumeric() || matches!(sign, '.' | '_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> bool {
        !check("README.md", &line.replace('!', "/")).is_empty()
    }

    #[test]
    fn a_developers_folders_are_found() {
        for line in ["see !home!ada!myelin", "\"!root!.cargo\"", "file:!!!Users!ada", "(!home!ada)"] {
            assert!(found(line), "{line}");
        }
    }

    #[test]
    fn inner_folders_and_addresses_are_not() {
        for line in
            ["https:!!example.org!home!page", "$HOME!.cache", "target!root!x", "!homework!x", "!home! is"]
        {
            assert!(!found(line), "{line}");
        }
    }
}
