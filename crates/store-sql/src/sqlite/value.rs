//! Values between rows and statements.

use bytes::Bytes;
use myelin_store::{Datum, KeyspaceDef, ReadError, Row, RowError};
use rusqlite::Statement;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::failure::read_error;

/// A value to bind, with placeholders standing for the positions from `first` on.
pub(super) struct Bind<'d>(pub(super) &'d Datum, pub(super) i64);

impl ToSql for Bind<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Datum::Null => ValueRef::Null,
            Datum::Int(value) => ValueRef::Integer(*value),
            Datum::Text(text) => ValueRef::Text(text.as_bytes()),
            Datum::Bytes(bytes) => ValueRef::Blob(bytes),
            Datum::Pending(n) => ValueRef::Integer(self.1 + i64::from(*n)),
        }))
    }
}

/// Binds the values to the statement's parameters from the first on.
pub(super) fn bind<'d>(
    statement: &mut Statement<'_>,
    values: impl IntoIterator<Item = &'d Datum>,
    first: i64,
) -> rusqlite::Result<()> {
    values
        .into_iter()
        .enumerate()
        .try_for_each(|(n, value)| statement.raw_bind_parameter(n + 1, Bind(value, first)))
}

/// All columns of a result row.
pub(super) fn read_row(keyspace: &'static KeyspaceDef, row: &rusqlite::Row<'_>) -> Result<Row, ReadError> {
    let mut columns = Vec::with_capacity(keyspace.columns.len());
    for (n, column) in keyspace.columns.iter().enumerate() {
        let damaged = |problem: &str| RowError {
            keyspace: keyspace.name,
            column: column.name,
            problem: problem.to_owned(),
        };
        columns.push(match row.get_ref(n).map_err(read_error)? {
            ValueRef::Null => Datum::Null,
            ValueRef::Integer(value) => Datum::Int(value),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text).map_err(|_| damaged("the text is not UTF-8"))?;
                Datum::Text(text.into())
            }
            ValueRef::Blob(bytes) => Datum::Bytes(Bytes::copy_from_slice(bytes)),
            ValueRef::Real(_) => return Err(damaged("found a floating-point number").into()),
        });
    }
    Ok(columns.into())
}
