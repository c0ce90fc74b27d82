//! What differs between SQL databases in the text of generated statements.

use myelin_store::{ColumnType, IndexDef, KeyspaceDef};

/// The SQL of one database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite, with `STRICT` tables.
    Sqlite,
}

impl Dialect {
    /// The column type that stores values of this type and orders them by their bytes.
    pub(crate) fn column_type(self, kind: ColumnType) -> &'static str {
        match (self, kind) {
            (Self::Sqlite, ColumnType::Int) => "INTEGER",
            (Self::Sqlite, ColumnType::Text) => "TEXT",
            (Self::Sqlite, ColumnType::Bytes) => "BLOB",
        }
    }

    /// What follows the column list of a table. SQLite sorts a table by its key only when it has no hidden row
    /// number, or when the key is that number.
    pub(crate) fn table_options(self, keyspace: &KeyspaceDef) -> &'static str {
        match self {
            Self::Sqlite if has_integer_key(keyspace) => " STRICT",
            Self::Sqlite => " STRICT, WITHOUT ROWID",
        }
    }

    /// The columns that an index must name to be sorted as [`KeyspaceDef::order`] says. SQLite itself adds what the
    /// index lacks of the key.
    pub(crate) fn index_columns(self, index: &IndexDef) -> Vec<usize> {
        match self {
            Self::Sqlite => index.columns.to_vec(),
        }
    }

    /// The placeholder of the `n`-th parameter, counted from 1.
    pub(crate) fn parameter(self, n: usize) -> String {
        match self {
            Self::Sqlite => format!("?{n}"),
        }
    }

    /// Pins a query to an index, where the database lets one: the statement fails to prepare rather than read more
    /// than it answers.
    pub(crate) fn index_hint(self, index: Option<&str>) -> String {
        match (self, index) {
            (Self::Sqlite, Some(index)) => format!(" INDEXED BY {}", quote(index)),
            (Self::Sqlite, None) => String::new(),
        }
    }
}

/// Whether the key is a single integer, which SQLite makes the number of the row itself.
fn has_integer_key(keyspace: &KeyspaceDef) -> bool {
    matches!(keyspace.columns.get(..keyspace.key_len), Some([only]) if only.kind == ColumnType::Int)
}

/// An identifier that may be a reserved word. Names of keyspaces and columns never contain a quotation mark.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{name}\"")
}
