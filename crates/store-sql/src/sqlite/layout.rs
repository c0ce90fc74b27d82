//! The tables that the store has, brought to what the declarations say. Only ever adds, so that the previous release
//! still opens the store.

use std::collections::HashMap;

use myelin_store::{IndexDef, KeyspaceDef};
use rusqlite::{Connection, OptionalExtension};

use crate::ddl;
use crate::dialect::{Dialect, quote};

/// Why the tables can't become what the declarations say.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayoutError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("its table {table} has another key")]
    OtherKey { table: &'static str },
    #[error("its table {table} has a column {column} of another type")]
    OtherType { table: &'static str, column: &'static str },
    #[error("its table {table} lacks the column {column}, which can't be added to rows that exist")]
    Missing { table: &'static str, column: &'static str },
}

/// Adds the tables, columns and indexes that are missing, and replaces indexes that were declared anew.
pub(super) fn expand(connection: &Connection, keyspaces: &[&'static KeyspaceDef]) -> Result<(), LayoutError> {
    for keyspace in keyspaces {
        let found = columns(connection, keyspace)?;
        if found.is_empty() {
            connection.execute_batch(&ddl::create_table(Dialect::Sqlite, keyspace))?;
        } else {
            add_columns(connection, keyspace, &found)?;
        }
        keyspace.indexes.iter().try_for_each(|index| make_index(connection, keyspace, index))?;
    }
    Ok(())
}

/// A column as it is: its type and its place in the key (0: outside it).
struct Found {
    kind: String,
    key: i64,
}

fn columns(connection: &Connection, keyspace: &KeyspaceDef) -> rusqlite::Result<HashMap<String, Found>> {
    let mut statement = connection.prepare("SELECT name, type, pk FROM pragma_table_info(?1)")?;
    let column = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Found { kind: row.get(1)?, key: row.get(2)? }));
    statement.query_map([keyspace.name], column)?.collect()
}

fn add_columns(
    connection: &Connection,
    keyspace: &'static KeyspaceDef,
    found: &HashMap<String, Found>,
) -> Result<(), LayoutError> {
    let table = keyspace.name;
    let key_len = keyspace.key_len as i64;
    for (n, column) in (1..).zip(keyspace.columns) {
        let key = if n <= key_len { n } else { 0 };
        match found.get(column.name) {
            Some(found) if found.key != key => return Err(LayoutError::OtherKey { table }),
            Some(found) if found.kind != Dialect::Sqlite.column_type(column.kind) => {
                return Err(LayoutError::OtherType { table, column: column.name });
            }
            Some(_) => {}
            None if key > 0 => return Err(LayoutError::OtherKey { table }),
            None if !column.nullable => return Err(LayoutError::Missing { table, column: column.name }),
            None => connection.execute_batch(&ddl::add_column(Dialect::Sqlite, keyspace, column))?,
        }
    }
    if found.values().filter(|column| column.key > 0).count() != keyspace.key_len {
        return Err(LayoutError::OtherKey { table });
    }
    Ok(())
}

fn make_index(connection: &Connection, keyspace: &KeyspaceDef, index: &IndexDef) -> Result<(), LayoutError> {
    let name = ddl::index_name(keyspace, index);
    let text = ddl::create_index(Dialect::Sqlite, keyspace, index);
    let find = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1";
    let found: Option<String> = connection.query_row(find, [&name], |row| row.get(0)).optional()?;
    if found.as_deref() == Some(&text) {
        return Ok(());
    }
    if found.is_some() {
        connection.execute_batch(&format!("DROP INDEX {}", quote(&name)))?;
    }
    Ok(connection.execute_batch(&text)?)
}
