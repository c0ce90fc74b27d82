//! Names and attributes that code may not use.

use super::{
    finding::Finding,
    policy::{BANS, Ban, L0_BANS, L0_LINTS, LAYERS, Layer, Pattern},
    rust::Source,
};

/// Everything banned that `source` names.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = banned_names(source, BANS, source.lines);
    if layer_of(&source.path) == Some(Layer::L0) && is_library_code(source) {
        findings.extend(banned_names(source, L0_BANS, source.production_lines));
    }
    findings.extend(may_panic(source));
    findings.extend(unfinished(source));
    findings.extend(ignored_tests(source));
    findings
}

fn banned_names(source: &Source, bans: &[Ban], last_line: usize) -> Vec<Finding> {
    let holds = |ban: &&Ban| !ban.except.iter().any(|(place, _)| source.path.starts_with(place));
    let mut findings = Vec::new();
    for ban in bans.iter().filter(holds) {
        for path in source.paths.iter().filter(|path| path.line <= last_line) {
            if ban.patterns.iter().any(|pattern| matches(pattern, &path.value)) {
                let what = format!("`{}` {}", path.value.join("::"), ban.what);
                findings.push(Finding::new(&source.path, path.line, what, ban.instead));
            }
        }
    }
    findings
}

fn matches(pattern: &Pattern, path: &[String]) -> bool {
    match pattern {
        Pattern::Segments(segments) => path.windows(segments.len()).any(|window| window == *segments),
        Pattern::Root(root) => path.len() > 1 && path[0] == *root,
    }
}

/// Lints against panics that the root of an L0 crate does not deny.
fn may_panic(source: &Source) -> Vec<Finding> {
    if layer_of(&source.path) != Some(Layer::L0) || !source.path.ends_with("/src/lib.rs") {
        return Vec::new();
    }
    let denied = |lint: &str| {
        let lint = format!("clippy::{lint}");
        let strict = |text: &str| text.contains("deny(") || text.contains("forbid(");
        source.attributes.iter().any(|attribute| strict(&attribute.value) && attribute.value.contains(&lint))
    };
    let missing = L0_LINTS.iter().filter(|lint| !denied(lint));
    missing
        .map(|lint| {
            let what = format!("an L0 crate does not deny clippy::{lint}");
            Finding::new(&source.path, 1, what, "add it to #![cfg_attr(not(test), deny(..))]")
        })
        .collect()
}

/// `todo!` and `unimplemented!`: what is not there is absent, not promised.
fn unfinished(source: &Source) -> Vec<Finding> {
    let unfinished =
        source.macros.iter().filter(|name| matches!(name.value.as_str(), "todo" | "unimplemented"));
    unfinished
        .map(|name| {
            let what = format!("`{}!` is a promise in place of code", name.value);
            Finding::new(&source.path, name.line, what, "write it, or leave the whole function out")
        })
        .collect()
}

fn ignored_tests(source: &Source) -> Vec<Finding> {
    let ignored = source.attributes.iter().filter(|attribute| {
        let text = attribute.value.as_str();
        text == "ignore"
            || text.starts_with("ignore=")
            || (text.starts_with("cfg_attr(") && (text.contains(",ignore)") || text.contains(",ignore=")))
    });
    ignored
        .map(|attribute| {
            let instead = "make it pass, move it to `cargo xtask full`, or delete it";
            Finding::new(&source.path, attribute.line, "an ignored test is skipped in silence", instead)
        })
        .collect()
}

fn layer_of(path: &str) -> Option<Layer> {
    let (folder, _) = path.strip_prefix("crates/")?.split_once('/')?;
    LAYERS.iter().find(|(name, _)| *name == folder).map(|(_, layer)| *layer)
}

/// Whether a file is part of the crate itself: tests may read fixtures from disk, and build scripts run elsewhere.
fn is_library_code(source: &Source) -> bool {
    source.path.contains("/src/") && !source.is_test()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finding::summary;

    fn found(path: &str, text: &str) -> Vec<String> {
        summary(&check(&Source::parse(path, text).unwrap()))
    }

    #[test]
    fn the_clock_is_read_in_runtime_only() {
        for call in
            ["std::time::Instant::now()", "tokio::time::Instant::now()", "SystemTime::now()", "Utc :: now()"]
        {
            let text = format!("#[test]\nfn f() {{ {call}; }}");
            assert_eq!(found("crates/rooms/tests/a.rs", &text).len(), 1, "{call}");
            assert_eq!(found("crates/runtime/src/a.rs", &text).len(), 0, "{call}");
            assert_eq!(found("clients/tests/a.rs", &text).len(), 0, "{call}");
        }
    }

    #[test]
    fn endpoints_use_extractors_that_refuse_with_an_errcode() {
        let text = "use axum::extract::{Query, State};";
        assert_eq!(found("crates/api/src/client/a.rs", text).len(), 1);
        assert_eq!(found("crates/api/src/args.rs", text).len(), 0);
        assert_eq!(found("crates/api/src/client/a.rs", "use axum::extract::State;").len(), 0);
        assert_eq!(found("crates/api/src/client/a.rs", "use crate::args::{Path, Query};").len(), 0);
    }

    #[test]
    fn the_clock_as_a_function_value_is_found_too() {
        assert_eq!(found("crates/rooms/src/a.rs", "fn f() { map(Instant::now) }").len(), 1);
    }

    #[test]
    fn randomness_is_made_in_runtime_only() {
        for code in [
            "use rand::Rng;",
            "use rand::{rngs::StdRng};",
            "fn f() { getrandom::fill(&mut b); }",
            "fn f() { thread_rng(); }",
            "use x::OsRng;",
            "fn f() { Uuid::new_v4(); }",
        ] {
            assert_eq!(found("crates/auth/src/a.rs", code).len(), 1, "{code}");
            assert_eq!(found("crates/runtime/src/a.rs", code).len(), 0, "{code}");
        }
        assert!(found("crates/auth/src/a.rs", "fn f(rand: u8) { let strand = rand; }").is_empty());
    }

    #[test]
    fn batch_verification_is_found_everywhere() {
        let code = "fn f() { ed25519_dalek::verify_batch(&a, &b, &c); }";
        assert_eq!(found("crates/runtime/src/a.rs", code).len(), 1);
        assert_eq!(found("fuzz/fuzz_targets/a.rs", code).len(), 1);
    }

    #[test]
    fn l0_has_no_files_sockets_or_clocks() {
        for code in ["use std::fs;", "use std::{net::TcpStream};", "fn f(t: std::time::SystemTime) {}"] {
            assert_eq!(found("crates/pdu/src/a.rs", code).len(), 1, "{code}");
            assert_eq!(found("crates/rooms/src/a.rs", code).len(), 0, "{code}");
        }
        for code in ["use std::time::Duration;", "use std::net::Ipv6Addr;"] {
            assert!(found("crates/pdu/src/a.rs", code).is_empty(), "{code}");
        }
    }

    #[test]
    fn tests_of_l0_may_read_fixtures() {
        assert!(found("crates/pdu/tests/a.rs", "use std::fs;").is_empty());
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert!(found("crates/pdu/src/a.rs", text).is_empty());
    }

    #[test]
    fn l0_denies_panics() {
        let text = "#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, \
            clippy::indexing_slicing, clippy::unreachable))]";
        assert!(found("crates/pdu/src/lib.rs", text).is_empty());
        assert_eq!(found("crates/pdu/src/lib.rs", &text.replace("clippy::panic, ", "")).len(), 1);
        assert_eq!(found("crates/pdu/src/lib.rs", &text.replace("deny", "warn")).len(), 5);
        assert!(found("crates/rooms/src/lib.rs", "").is_empty());
    }

    #[test]
    fn unfinished_code_is_found() {
        let text = "fn f() { todo!() }\nfn g() { unimplemented!(\"later\") }";
        assert_eq!(
            found("crates/rooms/src/a.rs", text),
            [
                "crates/rooms/src/a.rs:1: `todo!` is a promise in place of code",
                "crates/rooms/src/a.rs:2: `unimplemented!` is a promise in place of code"
            ]
        );
    }

    #[test]
    fn ignored_tests_are_found() {
        for code in ["#[ignore]", "#[ignore = \"slow\"]", "#[cfg_attr(windows, ignore)]"] {
            assert_eq!(found("a.rs", &format!("#[test]\n{code}\nfn f() {{}}")).len(), 1, "{code}");
        }
        assert!(found("a.rs", "// #[ignore]\nfn f() {}").is_empty());
    }
}
