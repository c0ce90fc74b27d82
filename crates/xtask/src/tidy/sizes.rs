//! Files stay small. The list of those that are not may only shrink.

use std::collections::BTreeMap;

use super::{
    finding::Finding,
    policy::{MAX_PRODUCTION_LINES, MAX_TEST_LINES, OVERSIZED_LIST},
    rust::Source,
};

/// A listed file's lines and where it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listed {
    lines: usize,
    at: usize,
}

/// What counts of a file, and the most it may be.
#[derive(Clone, Copy)]
struct Size {
    lines: usize,
    limit: usize,
}

/// Compares every file with its limit and with the list. `history` holds the list's earlier versions, oldest first.
pub(crate) fn check(sources: &[Source], list: &str, history: &[String]) -> Vec<Finding> {
    let (listed, mut findings) = read_list(list);
    let sizes: BTreeMap<&str, Size> =
        sources.iter().map(|source| (source.path.as_str(), size(source))).collect();
    for (path, size) in &sizes {
        findings.extend(match listed.get(*path) {
            Some(entry) => check_listed(path, *size, *entry),
            None if size.lines > size.limit => Some(too_long(path, *size)),
            None => None,
        });
    }
    for (path, entry) in listed.iter().filter(|(path, _)| !sizes.contains_key(path.as_str())) {
        let what = format!("{path} is listed but does not exist");
        findings.push(Finding::new(OVERSIZED_LIST, entry.at, what, "remove the line"));
    }
    findings.extend(grown_list(&listed, history));
    findings
}

fn size(source: &Source) -> Size {
    if source.is_test() {
        Size { lines: source.lines, limit: MAX_TEST_LINES }
    } else {
        Size { lines: source.production_lines, limit: MAX_PRODUCTION_LINES }
    }
}

fn too_long(path: &str, size: Size) -> Finding {
    let what = format!("{} lines, {} at most", size.lines, size.limit);
    Finding::new(path, size.lines, what, "split the file by what it is about")
}

fn check_listed(path: &str, size: Size, entry: Listed) -> Option<Finding> {
    let Size { lines, limit } = size;
    if lines <= limit {
        let what = format!("{path} is down to {lines} lines and needs no listing");
        Some(Finding::new(OVERSIZED_LIST, entry.at, what, "remove the line"))
    } else if lines > entry.lines {
        let what = format!("grew to {lines} lines from the {} it is listed with", entry.lines);
        Some(Finding::new(path, lines, what, "split the file by what it is about"))
    } else if lines < entry.lines {
        let what = format!("{path} is down to {lines} lines");
        Some(Finding::new(OVERSIZED_LIST, entry.at, what, format!("lower its figure to {lines}")))
    } else {
        None
    }
}

/// `path lines` a line; `#` starts a comment.
fn read_list(text: &str) -> (BTreeMap<String, Listed>, Vec<Finding>) {
    let mut listed = BTreeMap::new();
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let entry = line.split_once(' ').and_then(|(path, lines)| Some((path, lines.trim().parse().ok()?)));
        match entry {
            Some((path, lines)) => {
                listed.insert(path.to_owned(), Listed { lines, at: index + 1 });
            }
            None => findings.push(Finding::new(
                OVERSIZED_LIST,
                index + 1,
                "is not `path lines`",
                "write a path, a space and a number of lines",
            )),
        }
    }
    (listed, findings)
}

/// From its first version that lists anything, the list takes no new file and no higher figure.
fn grown_list(listed: &BTreeMap<String, Listed>, history: &[String]) -> Vec<Finding> {
    let versions = history.iter().map(|text| read_list(text).0);
    let founded: Vec<_> = versions.skip_while(BTreeMap::is_empty).collect();
    let allowed = |path: &str, lines: usize| {
        founded.iter().all(|version| version.get(path).is_some_and(|entry| entry.lines >= lines))
    };
    let grown = listed.iter().filter(|(path, entry)| !allowed(path, entry.lines));
    grown
        .map(|(path, entry)| {
            let what = format!("{path} {} is a new entry or a raised figure", entry.lines);
            Finding::new(OVERSIZED_LIST, entry.at, what, "split the file: this list may only shrink")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finding::summary;

    fn file(path: &str, production: usize, tests: usize) -> Source {
        let mut text = "const A: u8 = 0;\n".repeat(production);
        text.push_str("#[cfg(test)]\nmod tests {\n");
        text.push_str(&"    const A: u8 = 0;\n".repeat(tests));
        text.push_str("}\n");
        Source::parse(path, &text).unwrap()
    }

    fn found(lines: usize, list: &str, history: &[&str]) -> Vec<String> {
        let history: Vec<String> = history.iter().map(|text| (*text).to_owned()).collect();
        summary(&check(&[file("crates/a/src/lib.rs", lines, 1000)], list, &history))
    }

    #[test]
    fn production_code_has_a_limit_and_the_tests_below_it_do_not_count() {
        assert!(found(400, "", &[]).is_empty());
        assert_eq!(found(401, "", &[]), ["crates/a/src/lib.rs:401: 401 lines, 400 at most"]);
    }

    #[test]
    fn test_files_have_a_limit_of_their_own() {
        let sized = |lines: usize| check(&[file("crates/a/tests/b.rs", lines, 0)], "", &[]).len();
        assert_eq!(sized(797), 0);
        assert_eq!(sized(798), 1);
    }

    #[test]
    fn a_listed_file_may_stay_but_not_grow() {
        let list = "# path lines\ncrates/a/src/lib.rs 500\n";
        assert!(found(500, list, &[]).is_empty());
        assert_eq!(
            found(501, list, &[]),
            ["crates/a/src/lib.rs:501: grew to 501 lines from the 500 it is listed with"]
        );
    }

    #[test]
    fn a_figure_must_follow_the_file_down() {
        let list = "crates/a/src/lib.rs 500\n";
        assert_eq!(
            found(450, list, &[]),
            [format!("{OVERSIZED_LIST}:1: crates/a/src/lib.rs is down to 450 lines")]
        );
        assert_eq!(
            found(400, list, &[]),
            [format!("{OVERSIZED_LIST}:1: crates/a/src/lib.rs is down to 400 lines and needs no listing")]
        );
    }

    #[test]
    fn a_listed_file_must_exist() {
        let found = found(1, "\ncrates/gone.rs 500\n", &[]);
        assert_eq!(found, [format!("{OVERSIZED_LIST}:2: crates/gone.rs is listed but does not exist")]);
    }

    #[test]
    fn a_garbled_list_is_a_finding() {
        assert_eq!(
            found(1, "crates/a/src/lib.rs many", &[]),
            [format!("{OVERSIZED_LIST}:1: is not `path lines`")]
        );
    }

    #[test]
    fn the_list_may_only_shrink() {
        let list = "crates/a/src/lib.rs 500\n";
        assert!(found(500, list, &["", "crates/a/src/lib.rs 600"]).is_empty(), "lowered");
        assert!(found(500, list, &["# empty"]).is_empty(), "the first list that lists anything");
        assert_eq!(found(500, list, &["crates/a/src/lib.rs 450"]).len(), 1, "raised");
        assert_eq!(found(500, list, &["crates/b.rs 900"]).len(), 1, "added");
        assert_eq!(found(500, list, &[list, "", list]).len(), 1, "taken back");
    }
}
