//! Snapshots: a bounded pool of reading connections.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, ready};
use myelin_model::Pos;
use myelin_store::schema::node;
use myelin_store::{Datum, Direction, KeyspaceDef, ReadError, Row, Scan, Snapshot};
use rusqlite::{CachedStatement, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::read_error;
use super::value::{Bind, bind, read_row};
use super::{near, open};
use crate::dialect::Dialect;
use crate::range::{self, Piece, Shape};
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
        let connection = self.take().map_err(read_error)?;
        let position = begin(&connection).map_err(read_error)?;
        let connection = Mutex::new(Some(connection));
        Ok(SqliteSnapshot { readers: Arc::clone(self), connection, position, _permit: permit })
    }

    /// Reads one row. One statement is a transaction of its own: nothing begins it, ends it or asks for the position.
    pub(super) async fn get(
        &self,
        keyspace: &'static KeyspaceDef,
        key: Vec<Datum>,
    ) -> Result<Option<Row>, ReadError> {
        let _permit = self.permits.acquire().await.map_err(|_| ReadError::Closed)?;
        let connection = self.take().map_err(read_error)?;
        let text = &self.statements.of(keyspace)?.get;
        let found = connection
            .prepare_cached(text)
            .map_err(read_error)
            .and_then(|mut statement| get_row(&mut statement, keyspace, &key));
        self.give_back(connection);
        found
    }

    /// An idle connection, or a new one. Whoever takes it has a permit.
    fn take(&self) -> rusqlite::Result<Connection> {
        let idle = self.idle().pop();
        idle.map_or_else(|| self.connect(), Ok)
    }

    /// Keeps it for the next reader; closes it where the store is closed.
    fn give_back(&self, connection: Connection) {
        if !self.permits.is_closed() {
            self.idle().push(connection);
        }
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = open::connect(&self.path, false)?;
        connection.pragma_update(None, "query_only", true)?;
        // A commit empties it, so it only has to hold what one snapshot reads again.
        connection.pragma_update(None, "cache_size", -2048)?;
        connection.set_prepared_statement_cache_capacity(96);
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn get_row(
    statement: &mut CachedStatement<'_>,
    keyspace: &'static KeyspaceDef,
    key: &[Datum],
) -> Result<Option<Row>, ReadError> {
    keyspace.check_key(key)?;
    bind(statement, key, 0).map_err(read_error)?;
    let mut rows = statement.raw_query();
    rows.next().map_err(read_error)?.map(|row| read_row(keyspace, row)).transpose()
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
        let mut found = Vec::with_capacity(keys.len());
        let mut prepared = Prepared::default();
        for part in near::parts(keyspace, keys) {
            if part.in_one_pass {
                self.pass(connection, keyspace, part.keys, &mut prepared, &mut found)?;
            } else {
                for key in part.keys {
                    found.push(get_row(&mut statement, keyspace, key)?);
                }
            }
        }
        Ok(found)
    }

    /// Reads rows by ascending keys of one column, in one pass over their range.
    fn pass<'c>(
        &self,
        connection: &'c Connection,
        keyspace: &'static KeyspaceDef,
        keys: &[Vec<Datum>],
        prepared: &mut Prepared<'c>,
        found: &mut Vec<Option<Row>>,
    ) -> Result<(), ReadError> {
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(()) };
        let range = Scan {
            keyspace,
            index: None,
            prefix: Vec::new(),
            lower: Bound::Included(first.clone()),
            upper: Bound::Included(last.clone()),
            direction: Direction::Forward,
            limit: usize::MAX,
        };
        let mut rows = self.scan(connection, &range, prepared)?.into_iter().peekable();
        for key in keys {
            while rows.next_if(|row| row.first() < key.first()).is_some() {}
            found.push(rows.next_if(|row| row.first() == key.first()));
        }
        Ok(())
    }

    fn scan<'c>(
        &self,
        connection: &'c Connection,
        scan: &Scan,
        prepared: &mut Prepared<'c>,
    ) -> Result<Vec<Row>, ReadError> {
        scan.check()?;
        self.readers.statements.of(scan.keyspace)?;
        let mut pieces = range::pieces(scan);
        if scan.direction == Direction::Backward {
            pieces.reverse();
        }
        let mut found = Vec::new();
        for piece in pieces {
            let missing = i64::try_from(scan.limit - found.len()).unwrap_or(i64::MAX);
            if missing == 0 {
                break;
            }
            let statement = prepared.of(connection, &piece, scan)?;
            let limit = Datum::Int(missing);
            for (n, value) in piece.parameters().chain([&limit]).enumerate() {
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

/// The most statements at hand in one reading.
const MOST_PREPARED: usize = 16;

/// Statements at hand: the many scans of one reading are of few shapes, and writing a statement's text and looking it up
/// costs more than running it.
#[derive(Default)]
struct Prepared<'c>(Vec<(Shape, CachedStatement<'c>)>);

impl<'c> Prepared<'c> {
    fn of(
        &mut self,
        connection: &'c Connection,
        piece: &Piece,
        scan: &Scan,
    ) -> Result<&mut CachedStatement<'c>, ReadError> {
        let shape = piece.shape(scan);
        let at = match self.0.iter().position(|(known, _)| *known == shape) {
            Some(at) => at,
            None => {
                if self.0.len() >= MOST_PREPARED {
                    self.0.clear();
                }
                let text = piece.select(Dialect::Sqlite, scan).text;
                self.0.push((shape, connection.prepare_cached(&text).map_err(read_error)?));
                self.0.len() - 1
            }
        };
        self.0.get_mut(at).map(|(_, statement)| statement).ok_or(ReadError::Closed)
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
        let all = |connection: &Connection| {
            let mut prepared = Prepared::default();
            scans.iter().map(|scan| self.scan(connection, scan, &mut prepared)).collect()
        };
        Box::pin(ready(self.with(all)))
    }
}

impl Drop for SqliteSnapshot {
    fn drop(&mut self) {
        let connection = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(connection) = connection else { return };
        let ended = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.raw_execute());
        // One that can't even end its transaction is closed instead.
        if ended.is_ok() {
            self.readers.give_back(connection);
        }
    }
}
