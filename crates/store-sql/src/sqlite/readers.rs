//! Snapshots: a bounded pool of reading connections.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, ready};
use myelin_model::Pos;
use myelin_store::schema::node;
use myelin_store::{Datum, KeyspaceDef, ReadError, Row, Scan, Snapshot};
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::read_error;
use super::open;
use super::value::{Bind, bind, read_row};
use crate::dialect::Dialect;
use crate::range;
use crate::statement::Statements;

/// The pool.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    statements: Arc<Statements>,
    /// One permit for each snapshot that may exist.
    permits: Arc<Semaphore>,
    /// The last one used on top: its cache is warm, and those below stay unopened where nobody needs them.
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: &Path, count: u32, statements: Arc<Statements>) -> Self {
        let permits = Arc::new(Semaphore::new(usize::try_from(count.max(1)).unwrap_or(1)));
        Self { path: path.to_owned(), statements, permits, idle: Mutex::default() }
    }

    /// Closes the idle connections, and the others as their snapshots end.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle().clear();
    }

    /// Begins a read transaction; waits where too many exist.
    pub(super) async fn snapshot(self: &Arc<Self>) -> Result<SqliteSnapshot, ReadError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| ReadError::Closed)?;
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect().map_err(read_error)?,
        };
        let position = begin(&connection).map_err(read_error)?;
        let connection = Mutex::new(Some(connection));
        Ok(SqliteSnapshot { readers: Arc::clone(self), connection, position, _permit: permit })
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = open::connect(&self.path, false)?;
        connection.pragma_update(None, "query_only", true)?;
        // A commit empties it, so it only has to hold what one snapshot reads again.
        connection.pragma_update(None, "cache_size", -1024)?;
        connection.set_prepared_statement_cache_capacity(96);
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins the transaction and reads the position in it: a transaction sees the moment of its first read.
fn begin(connection: &Connection) -> rusqlite::Result<Pos> {
    connection.prepare_cached("BEGIN DEFERRED")?.raw_execute()?;
    let mut statement = connection.prepare_cached("SELECT next FROM counter WHERE name = ?1")?;
    let next: i64 = statement.query_row([node::POSITION], |row| row.get(0))?;
    Ok(Pos::new(next - 1))
}

/// A read transaction.
#[derive(Debug)]
pub(super) struct SqliteSnapshot {
    readers: Arc<Readers>,
    /// Only empty while it is dropped.
    connection: Mutex<Option<Connection>>,
    position: Pos,
    _permit: OwnedSemaphorePermit,
}

impl SqliteSnapshot {
    fn with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.as_ref().map_or(Err(ReadError::Closed), read)
    }

    fn get_each(
        &self,
        connection: &Connection,
        keyspace: &'static KeyspaceDef,
        keys: &[Vec<Datum>],
    ) -> Result<Vec<Option<Row>>, ReadError> {
        let text = &self.readers.statements.of(keyspace)?.get;
        let mut statement = connection.prepare_cached(text).map_err(read_error)?;
        let mut get = |key: &Vec<Datum>| {
            keyspace.check_key(key)?;
            bind(&mut statement, key, 0).map_err(read_error)?;
            let mut rows = statement.raw_query();
            rows.next().map_err(read_error)?.map(|row| read_row(keyspace, row)).transpose()
        };
        keys.iter().map(&mut get).collect()
    }

    fn scan(&self, connection: &Connection, scan: &Scan) -> Result<Vec<Row>, ReadError> {
        scan.check()?;
        self.readers.statements.of(scan.keyspace)?;
        let mut pieces = range::pieces(scan);
        if scan.direction == myelin_store::Direction::Backward {
            pieces.reverse();
        }
        let mut found = Vec::new();
        for piece in pieces {
            let missing = i64::try_from(scan.limit - found.len()).unwrap_or(i64::MAX);
            if missing == 0 {
                break;
            }
            let query = piece.select(Dialect::Sqlite, scan);
            let mut statement = connection.prepare_cached(&query.text).map_err(read_error)?;
            let limit = Datum::Int(missing);
            let parameters = query.parameters.iter().copied().chain([&limit]).enumerate();
            for (n, value) in parameters {
                statement.raw_bind_parameter(n + 1, Bind(value, 0)).map_err(read_error)?;
            }
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next().map_err(read_error)? {
                found.push(read_row(scan.keyspace, row)?);
            }
        }
        Ok(found)
    }
}

impl Snapshot for SqliteSnapshot {
    fn position(&self) -> Pos {
        self.position
    }

    fn get_many<'s>(
        &'s self,
        keyspace: &'static KeyspaceDef,
        keys: Vec<Vec<Datum>>,
    ) -> BoxFuture<'s, Result<Vec<Option<Row>>, ReadError>> {
        Box::pin(ready(self.with(|connection| self.get_each(connection, keyspace, &keys))))
    }

    fn scan_many(&self, scans: Vec<Scan>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, ReadError>> {
        let all = |connection: &Connection| scans.iter().map(|scan| self.scan(connection, scan)).collect();
        Box::pin(ready(self.with(all)))
    }
}

impl Drop for SqliteSnapshot {
    fn drop(&mut self) {
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(connection) = connection else { return };
        let ended = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.raw_execute());
        // One that can't even end its transaction is closed instead.
        if ended.is_ok() && !self.readers.permits.is_closed() {
            self.readers.idle().push(connection);
        }
    }
}
