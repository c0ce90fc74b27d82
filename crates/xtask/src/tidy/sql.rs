//! SQL is written in one crate.

use super::{finding::Finding, policy::SQL_PLACES, rust::Source};

/// How a statement begins, in lower case, and what must follow later in it for the text to be SQL and not prose.
const STATEMENTS: &[(&str, &str)] = &[
    ("alter table ", ""),
    ("create index ", ""),
    ("create table ", ""),
    ("create trigger ", ""),
    ("create unique index ", ""),
    ("create view ", ""),
    ("create virtual table ", ""),
    ("delete from ", ""),
    ("drop index ", ""),
    ("drop table ", ""),
    ("insert into ", ""),
    ("insert or ", " into "),
    ("replace into ", ""),
    ("select ", " from "),
    ("update ", " set "),
    ("with ", " as ("),
];

/// First words that are SQL when written in capitals, whatever word follows.
const CAPITALS: &[&str] = &["ATTACH", "PRAGMA", "SELECT", "UPDATE"];

/// String literals that hold SQL outside the crate for it.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    if SQL_PLACES.iter().any(|(place, _)| source.path.starts_with(place)) {
        return Vec::new();
    }
    let statements = source.strings.iter().filter(|string| is_sql(&string.value));
    statements
        .map(|string| {
            let start: String = string.value.trim_start().chars().take(24).collect();
            let what = format!("SQL outside store-sql (\"{}\")", start.trim_end());
            Finding::new(
                &source.path,
                string.line,
                what,
                "declare a keyspace and use the store's batches and reads",
            )
        })
        .collect()
}

fn is_sql(text: &str) -> bool {
    let text = text.trim_start();
    let first = text.split_whitespace().next().unwrap_or_default();
    if CAPITALS.contains(&first) && text.len() > first.len() {
        return true;
    }
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = plain.to_lowercase();
    // Prose starts with one capital ("Select a room from the list"); statements are in one case throughout.
    let one_case =
        plain.chars().take(4).all(char::is_lowercase) || plain.chars().take(4).all(char::is_uppercase);
    one_case && STATEMENTS.iter().any(|(start, later)| lower.starts_with(start) && lower.contains(later))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, literal: &str) -> usize {
        check(&Source::parse(path, &format!("const A: &str = {literal};")).unwrap()).len()
    }

    #[test]
    fn statements_are_found_outside_store_sql() {
        for literal in [
            "\"SELECT 1\"",
            "r#\"\n    insert into t values (1)\"#",
            "\"delete from t\"",
            "\"UPDATE t SET a = 1\"",
            "\"update t set a = 1\"",
            "\"PRAGMA synchronous\"",
            "\"CREATE TABLE t (a)\"",
        ] {
            assert_eq!(found("crates/rooms/src/a.rs", literal), 1, "{literal}");
            assert_eq!(found("crates/store-sql/src/a.rs", literal), 0, "{literal}");
        }
    }

    #[test]
    fn prose_is_not_sql() {
        for literal in [
            "\"Select a room from the list\"",
            "\"update the config\"",
            "\"with 3 rooms\"",
            "\"select\"",
            "\"UPDATED\"",
        ] {
            assert_eq!(found("crates/rooms/src/a.rs", literal), 0, "{literal}");
        }
    }
}
