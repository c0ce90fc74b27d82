//! Tables and indexes.

use myelin_store::{Column, IndexDef, KeyspaceDef};

use crate::dialect::{Dialect, quote};

/// The statement that makes the table.
pub(crate) fn create_table(dialect: Dialect, keyspace: &KeyspaceDef) -> String {
    let columns = keyspace.columns.iter().map(|column| column_definition(dialect, column));
    let key: Vec<String> = keyspace.columns.iter().take(keyspace.key_len).map(|c| quote(c.name)).collect();
    let mut parts: Vec<String> = columns.collect();
    parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
    let options = dialect.table_options(keyspace);
    format!("CREATE TABLE {} ({}){options}", quote(keyspace.name), parts.join(", "))
}

/// The statement that adds a column to a table of an older release. Only a nullable column can be added.
pub(crate) fn add_column(dialect: Dialect, keyspace: &KeyspaceDef, column: &Column) -> String {
    format!("ALTER TABLE {} ADD COLUMN {}", quote(keyspace.name), column_definition(dialect, column))
}

/// The statement that makes an index.
pub(crate) fn create_index(dialect: Dialect, keyspace: &KeyspaceDef, index: &IndexDef) -> String {
    let columns = dialect.index_columns(index);
    let columns: Vec<String> =
        columns.iter().filter_map(|n| keyspace.columns.get(*n)).map(|column| quote(column.name)).collect();
    let name = index_name(keyspace, index);
    format!("CREATE INDEX {} ON {} ({})", quote(&name), quote(keyspace.name), columns.join(", "))
}

/// The name of an index in the database: unique there, not only within its keyspace.
pub(crate) fn index_name(keyspace: &KeyspaceDef, index: &IndexDef) -> String {
    format!("{}__{}", keyspace.name, index.name)
}

fn column_definition(dialect: Dialect, column: &Column) -> String {
    let not_null = if column.nullable { "" } else { " NOT NULL" };
    format!("{} {}{not_null}", quote(column.name), dialect.column_type(column.kind))
}

#[cfg(test)]
mod tests {
    use myelin_store::Keyspace;
    use myelin_store::conformance::{Entry, Mark, Piece};

    use super::*;

    #[test]
    fn a_declaration_becomes_a_table_that_an_operator_can_read() {
        let table = |keyspace| create_table(Dialect::Sqlite, keyspace);
        assert_eq!(
            table(Piece::DEF),
            r#"CREATE TABLE "conformance_piece" ("hash" BLOB NOT NULL, "name" TEXT NOT NULL, "part" INTEGER NOT NULL, "data" BLOB NOT NULL, "changed" INTEGER NOT NULL, "note" BLOB, PRIMARY KEY ("hash", "name", "part")) STRICT, WITHOUT ROWID"#
        );
        assert_eq!(
            table(Mark::DEF),
            r#"CREATE TABLE "conformance_mark" ("id" INTEGER NOT NULL, PRIMARY KEY ("id")) STRICT"#
        );
        assert_eq!(
            create_index(Dialect::Sqlite, Entry::DEF, Entry::BY_NUMBER),
            r#"CREATE INDEX "conformance_entry__by_number" ON "conformance_entry" ("number", "text")"#
        );
    }
}
