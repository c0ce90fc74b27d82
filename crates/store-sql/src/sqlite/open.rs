//! Opening: the lock, whose store it is, its layout, its epochs and its position.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use myelin_model::{Epoch, Pos, Shard};
use myelin_store::schema::{self, node};
use myelin_store::{Identity, KeyspaceDef, OpenError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::lock::StoreLock;
use super::{DurabilityMode, SqliteOptions, layout};

/// "Myel": tells SQLite's own tools, and us, whose file this is.
const APPLICATION_ID: i32 = 0x4d79_656c;

/// How far positions jump when some that were given out may be lost: by a power cut in the relaxed mode, or because
/// a backup was restored. A token of the lost time then lies before every new position, and is never taken for
/// another moment. Reading takes no longer for it.
const LOST_POSITIONS: i64 = 1 << 32;

/// The row of `meta` that says that the store was open in the relaxed mode and not closed since.
const RELAXED: &str = "relaxed";

/// An opened store.
pub(super) struct Opened {
    pub(super) lock: StoreLock,
    pub(super) connection: Connection,
    pub(super) epochs: Vec<Epoch>,
    pub(super) position: Pos,
}

/// Opens or makes the store.
pub(super) fn open(
    path: &Path,
    identity: &Identity,
    options: &SqliteOptions,
    keyspaces: &[&'static KeyspaceDef],
) -> Result<Opened, OpenError> {
    let lock = StoreLock::take(path)?;
    let failed = |error: rusqlite::Error| unusable(path, &error);
    let mut connection = connect(path, true).map_err(failed)?;
    let found = whose(&connection).map_err(|problem| unusable(path, &problem))?;
    check(path, identity, &found)?;
    if matches!(found, Found::Nothing) {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    }
    prepare_to_write(&connection, options).map_err(failed)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    layout::expand(&transaction, keyspaces).map_err(|problem| unusable(path, &problem))?;
    let state = take_over(&transaction, identity, options.durability).map_err(failed)?;
    transaction.commit().map_err(failed)?;
    sync_folder(path).map_err(|error| unusable(path, &error))?;
    Ok(Opened { lock, connection, epochs: state.0, position: state.1 })
}

/// A file that was just made is only found again after a power cut when its folder is on disk too.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Opens a connection; `create` makes the file where there is none.
pub(super) fn connect(path: &Path, create: bool) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // Every scan names its index. Without this, a statement that was prepared is parsed and planned again whenever its
    // limit is bound, in case another plan suits the new value better.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// The settings of the connection that writes.
pub(super) fn prepare_to_write(connection: &Connection, options: &SqliteOptions) -> rusqlite::Result<()> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        // Network file systems without shared memory, for example.
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        let problem = "the file system does not support a write-ahead log".to_owned();
        return Err(rusqlite::Error::SqliteFailure(code, Some(problem)));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The upkeep does it, outside of any commit.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", -4096)?;
    // What is deleted is overwritten with zeros wherever its page is written anyway.
    connection.pragma_update(None, "secure_delete", "FAST")?;
    if let Some(pages) = options.max_pages {
        connection.pragma_update(None, "max_page_count", pages)?;
    }
    connection.set_prepared_statement_cache_capacity(256);
    Ok(())
}

/// What stands at the path.
enum Found {
    /// An empty database.
    Nothing,
    /// A store of this server name and schema version.
    Store { server_name: String, version: i64 },
}

/// Not a store of ours.
#[derive(Debug, thiserror::Error)]
enum NotOurs {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("it is a database, but not one of Myelin's")]
    Other,
    #[error("it does not say which server or schema version it has")]
    Unnamed,
}

fn whose(connection: &Connection) -> Result<Found, NotOurs> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Found::Nothing);
    }
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if id != APPLICATION_ID {
        return Err(NotOurs::Other);
    }
    let server_name = meta(connection, node::SERVER_NAME)?.ok_or(NotOurs::Unnamed)?;
    let version = meta(connection, node::SCHEMA_VERSION)?.and_then(|version| version.parse().ok());
    Ok(Found::Store { server_name, version: version.ok_or(NotOurs::Unnamed)? })
}

fn check(path: &Path, identity: &Identity, found: &Found) -> Result<(), OpenError> {
    let Found::Store { server_name, version } = found else { return Ok(()) };
    let path = path.display().to_string();
    if *server_name != identity.server_name {
        let (found, expected) = (server_name.clone(), identity.server_name.clone());
        return Err(OpenError::Foreign { path, found, expected });
    }
    if *version > schema::VERSION {
        return Err(OpenError::Newer { path, found: *version, supported: schema::VERSION });
    }
    Ok(())
}

/// Writes whose the store is, raises the epochs, and finds the position to go on from.
fn take_over(
    connection: &Connection,
    identity: &Identity,
    durability: DurabilityMode,
) -> rusqlite::Result<(Vec<Epoch>, Pos)> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    set_meta(connection, node::SERVER_NAME, &identity.server_name)?;
    set_meta(connection, node::SCHEMA_VERSION, &schema::VERSION.to_string())?;
    let lost = meta(connection, RELAXED)?.is_some() || meta(connection, node::RESTORED)?.is_some();
    let mut next: i64 = connection
        .query_row("SELECT next FROM counter WHERE name = ?1", [node::POSITION], |row| row.get(0))
        .optional()?
        .unwrap_or(1);
    if lost {
        next += LOST_POSITIONS;
    }
    connection.execute(
        "INSERT INTO counter (name, next) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET next = excluded.next",
        (node::POSITION, next),
    )?;
    match durability {
        DurabilityMode::Sync => closed_cleanly(connection)?,
        DurabilityMode::Relaxed => set_meta(connection, RELAXED, "the store is open, or was not closed")?,
    }
    let mut raise = connection.prepare(
        "INSERT INTO shard (shard, epoch) VALUES (?1, 1) ON CONFLICT (shard) DO UPDATE SET epoch = epoch + 1 \
         RETURNING epoch",
    )?;
    let raise = |shard: Shard| raise.query_row([shard.number()], |row| row.get(0)).map(Epoch);
    Ok((Shard::all().map(raise).collect::<Result<_, _>>()?, Pos::new(next - 1)))
}

/// Takes back the mark of the relaxed mode, when everything is on disk.
pub(super) fn closed_cleanly(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM meta WHERE name = ?1", [RELAXED]).map(drop)
}

fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

/// Sets a fact about the store.
pub(super) fn set_meta(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    let text = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection.execute(text, (name, value)).map(drop)
}

/// The store can't be opened, for this reason.
pub(super) fn unusable(path: &Path, problem: &dyn std::error::Error) -> OpenError {
    OpenError::Unusable { path: path.display().to_string(), problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::connect;

    #[test]
    fn a_statement_is_planned_once_however_often_its_parameters_change() {
        let folder = tempfile::tempdir().unwrap();
        let connection = connect(&folder.path().join("store"), true).unwrap();
        connection
            .execute_batch("CREATE TABLE t (a INTEGER, b INTEGER); CREATE INDEX i ON t (a, b)")
            .unwrap();
        let text = "SELECT a FROM t INDEXED BY i WHERE a = ?1 AND b > ?2 ORDER BY b LIMIT ?3";
        let mut statement = connection.prepare(text).unwrap();
        for value in 1..9 {
            assert!(!statement.exists((value, value, value)).unwrap());
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
    }
}
