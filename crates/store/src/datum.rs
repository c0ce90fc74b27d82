//! Untyped values, as engines see them.

use bytes::Bytes;

/// The type of a column. Small on purpose: each has an obvious form in SQLite, PostgreSQL and as ordered bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// A signed 64-bit integer; also booleans (0, 1), timestamps (milliseconds) and positions.
    Int,
    /// UTF-8 text, ordered by its bytes.
    Text,
    /// Bytes, ordered by their values.
    Bytes,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// No value. Sorts before every other.
    Null,
    /// An integer.
    Int(i64),
    /// Text.
    Text(Box<str>),
    /// Bytes.
    Bytes(Bytes),
    /// In a batch only: the n-th position of that batch, which the commit replaces by an `Int`.
    Pending(u32),
}

impl Datum {
    /// About how many bytes the value takes in a batch; used for its size limit.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Null => 1,
            Self::Int(_) | Self::Pending(_) => 8,
            Self::Text(text) => text.len() + 4,
            Self::Bytes(bytes) => bytes.len() + 4,
        }
    }

    /// The value with its placeholder, if it is one, replaced by a position of a batch that begins at `first`.
    #[must_use]
    pub fn resolve(self, first: i64) -> Self {
        match self {
            Self::Pending(n) => Self::Int(first + i64::from(n)),
            other => other,
        }
    }
}

/// All columns of one row in the order of the declaration: key columns first.
pub type Row = Box<[Datum]>;
