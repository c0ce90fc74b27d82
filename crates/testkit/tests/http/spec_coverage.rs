//! Which operations of the specification the router serves: `conformance/spec-coverage.txt` says, and must be right.
//!
//! `cargo xtask spec-coverage` writes it anew, from the table of routes and `conformance/spec-operations.txt`.

#![expect(clippy::unwrap_used, reason = "a file that can't be read or written fails the test")]

use std::collections::HashSet;
use std::fmt::Write;
use std::path::PathBuf;

use myelin_api::routes;

/// A path with its parameters' names left out, which the specification and the router choose differently.
fn shape(path: &str) -> String {
    let mut shape = String::new();
    let mut depth = 0;
    for letter in path.chars() {
        match letter {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                shape.push('*');
            }
            letter if depth == 0 => shape.push(letter),
            _ => {}
        }
    }
    shape
}

fn coverage(operations: &str) -> String {
    let served: HashSet<(String, String)> = routes::table()
        .iter()
        .flat_map(|route| {
            let method = route.method().to_string();
            route.paths().iter().map(move |path| (method.clone(), shape(path))).collect::<Vec<_>>()
        })
        .collect();
    let mut lines = String::new();
    let (mut count, mut total) = (0, 0);
    for line in operations.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let is_served = served.contains(&(method.to_owned(), shape(path)));
        total += 1;
        count += usize::from(is_served);
        writeln!(lines, "{} {line}", if is_served { "served" } else { "absent" }).unwrap();
    }
    format!("# {count} of {total} operations of the client-server API v1.19 are served.\n{lines}")
}

#[test]
fn the_file_says_which_operations_are_served() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance");
    let coverage = coverage(&std::fs::read_to_string(folder.join("spec-operations.txt")).unwrap());
    let path = folder.join("spec-coverage.txt");
    if std::env::var_os("UPDATE_SPEC_COVERAGE").is_some() {
        std::fs::write(&path, &coverage).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(recorded == coverage, "the file is behind the router: run `cargo xtask spec-coverage`");
}
