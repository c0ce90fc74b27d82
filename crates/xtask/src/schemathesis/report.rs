//! How often each operation was asked, and what it answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

use anyhow::Result;

/// Answers by operation and status.
pub(super) struct Counts(BTreeMap<String, BTreeMap<u16, u64>>);

impl Counts {
    /// As `hooks.py` writes them.
    pub(super) fn read(path: &Path) -> Result<Self> {
        Ok(Self(serde_json::from_str(&fs::read_to_string(path)?)?))
    }

    /// Whether the operation was asked at all.
    pub(super) fn has(&self, operation: &str) -> bool {
        self.0.contains_key(operation)
    }

    /// One line for each of the operations, one for methods that they are not served under, then the sum.
    pub(super) fn table(&self, operations: &BTreeSet<String>) -> String {
        let mut table = String::from("   asked     2xx     4xx     5xx  operation\n");
        let (mut sum, mut others) = ([0; 4], [0; 4]);
        for (operation, statuses) in &self.0 {
            let of = |class: u16| {
                statuses
                    .iter()
                    .filter(|(status, _)| **status / 100 == class)
                    .map(|(_, times)| times)
                    .sum::<u64>()
            };
            let row = [statuses.values().sum(), of(2), of(4), of(5)];
            if operations.contains(operation) {
                push(&mut table, row, operation);
            } else {
                others.iter_mut().zip(row).for_each(|(sum, number)| *sum += number);
            }
            sum.iter_mut().zip(row).for_each(|(sum, number)| *sum += number);
        }
        push(&mut table, others, "under other methods");
        push(&mut table, sum, "in all");
        table
    }
}

fn push(table: &mut String, [asked, done, refused, failed]: [u64; 4], operation: &str) {
    // Writing to a string can't fail.
    writeln!(table, "{asked:>8}{done:>8}{refused:>8}{failed:>8}  {operation}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_their_class() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("counts.json");
        fs::write(
            &path,
            r#"{"GET /a": {"200": 3, "404": 2, "504": 1}, "PUT /b": {"400": 4},
            "TRACE /a": {"405": 2}}"#,
        )
        .unwrap();
        let counts = Counts::read(&path).unwrap();
        assert!(counts.has("GET /a") && !counts.has("GET /b"));
        let table = counts.table(&BTreeSet::from(["GET /a".to_owned(), "PUT /b".to_owned()]));
        assert!(table.contains("       6       3       2       1  GET /a\n"), "{table}");
        assert!(table.contains("       2       0       2       0  under other methods\n"), "{table}");
        assert!(table.ends_with("      12       3       8       1  in all\n"), "{table}");
    }
}
