//! The text of the statements that read or write one row.

use std::collections::HashMap;

use myelin_store::{KeyspaceDef, ReadError};

use crate::dialect::{Dialect, quote};

/// The statements of every keyspace of a store.
#[derive(Debug)]
pub(crate) struct Statements {
    by_name: HashMap<&'static str, RowStatements>,
}

/// The statements of one keyspace.
#[derive(Debug)]
pub(crate) struct RowStatements {
    /// All columns of the row with the key in the first parameters.
    pub(crate) get: String,
    /// Inserts or replaces; the parameters are the columns in the order of the declaration. Columns of the table
    /// that the declaration lacks (a newer release added them) keep their values.
    pub(crate) put: String,
    /// Deletes the row with the key in the first parameters.
    pub(crate) delete: String,
    /// For each column: adds the parameter after the key to it.
    pub(crate) add: Vec<String>,
}

/// The keyspace is not part of the opened store.
#[derive(Debug, thiserror::Error)]
#[error("the keyspace {0} is not in the schema that the store was opened with")]
pub(crate) struct Undeclared(&'static str);

impl From<Undeclared> for ReadError {
    fn from(problem: Undeclared) -> Self {
        Self::Unavailable(Box::new(problem))
    }
}

impl Statements {
    /// The statements for all these keyspaces.
    pub(crate) fn new(dialect: Dialect, keyspaces: &[&'static KeyspaceDef]) -> Self {
        let each = keyspaces.iter().map(|keyspace| (keyspace.name, RowStatements::new(dialect, keyspace)));
        Self { by_name: each.collect() }
    }

    /// The statements of one keyspace.
    pub(crate) fn of(&self, keyspace: &'static KeyspaceDef) -> Result<&RowStatements, Undeclared> {
        self.by_name.get(keyspace.name).ok_or(Undeclared(keyspace.name))
    }
}

impl RowStatements {
    fn new(dialect: Dialect, keyspace: &KeyspaceDef) -> Self {
        let table = quote(keyspace.name);
        let names: Vec<String> = keyspace.columns.iter().map(|column| quote(column.name)).collect();
        let columns = names.join(", ");
        let (key, values) = names.split_at(keyspace.key_len.min(names.len()));
        let equal = |(n, name): (usize, &String)| format!("{name} = {}", dialect.parameter(n + 1));
        let by_key = key.iter().enumerate().map(equal).collect::<Vec<_>>().join(" AND ");
        let parameters: Vec<String> = (1..=names.len()).map(|n| dialect.parameter(n)).collect();
        let updates: Vec<String> = values.iter().map(|name| format!("{name} = excluded.{name}")).collect();
        let or_replace = match updates.as_slice() {
            [] => "NOTHING".to_owned(),
            updates => format!("UPDATE SET {}", updates.join(", ")),
        };
        let delta = dialect.parameter(key.len() + 1);
        Self {
            get: format!("SELECT {columns} FROM {table} WHERE {by_key}"),
            put: format!(
                "INSERT INTO {table} ({columns}) VALUES ({}) ON CONFLICT ({}) DO {or_replace}",
                parameters.join(", "),
                key.join(", ")
            ),
            delete: format!("DELETE FROM {table} WHERE {by_key}"),
            add: names
                .iter()
                .map(|name| format!("UPDATE {table} SET {name} = {name} + {delta} WHERE {by_key}"))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use myelin_store::Keyspace;
    use myelin_store::conformance::{Mark, Tally};

    use super::*;

    #[test]
    fn a_put_keeps_columns_that_this_release_does_not_know() {
        let tally = RowStatements::new(Dialect::Sqlite, Tally::DEF);
        assert_eq!(
            tally.put,
            r#"INSERT INTO "conformance_tally" ("name", "count") VALUES (?1, ?2) ON CONFLICT ("name") DO UPDATE SET "count" = excluded."count""#
        );
        assert_eq!(
            tally.add[1],
            r#"UPDATE "conformance_tally" SET "count" = "count" + ?2 WHERE "name" = ?1"#
        );
        let mark = RowStatements::new(Dialect::Sqlite, Mark::DEF);
        assert_eq!(
            mark.put,
            r#"INSERT INTO "conformance_mark" ("id") VALUES (?1) ON CONFLICT ("id") DO NOTHING"#
        );
    }
}
