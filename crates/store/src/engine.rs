//! The one storage trait, and what it answers.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use myelin_model::{Epoch, Pos, Shard, Topic};
use tokio::sync::{broadcast, watch};

use crate::{Batch, Datum, KeyTuple, Keyspace, KeyspaceDef, Row, RowError, Scan};

/// A store that keeps keyspaces. Cheap to share; all methods may be called from anywhere at once.
pub trait Engine: Send + Sync + 'static {
    /// A consistent view of everything committed so far. Short-lived: an engine may bound how many exist at once
    /// and then waits for one to be dropped.
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, ReadError>>;

    /// The row with this key as it is now: as good as a snapshot for who reads nothing beside, and cheaper. Typed:
    /// `get_now` of `dyn Engine`.
    fn get_row<'e>(
        &'e self,
        keyspace: &'static KeyspaceDef,
        key: Vec<Datum>,
    ) -> BoxFuture<'e, Result<Option<Row>, ReadError>> {
        Box::pin(
            async move { Ok(self.snapshot().await?.get_many(keyspace, vec![key]).await?.pop().flatten()) },
        )
    }

    /// Makes the batch durable as a whole, or not at all. Resolves after the disk has it (see
    /// [`crate::Durability`] for the one exception). Dropping the future does not undo a commit under way.
    ///
    /// The batch takes its place in the order of commits when the method is called; only where the engine's queue
    /// is full, when the future first finds room.
    ///
    /// Nobody waits for it who holds a snapshot: an engine may make commits wait for snapshots to end.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>>;

    /// To be called by who has another task commit and waits for that. Where the engine can tell, it panics in builds for tests if
    /// the caller holds a snapshot, as [`Engine::commit`] does where they commit themselves.
    fn expect_no_snapshot(&self) {}

    /// The newest position; changes after each commit that took one, and before that is answered: who has the answer finds
    /// no older one.
    fn positions(&self) -> watch::Receiver<Pos>;

    /// What was committed, in order, for those who wake others. A receiver that lags must assume that everything
    /// changed.
    fn notices(&self) -> broadcast::Receiver<Arc<CommitNotice>>;

    /// The epoch under which this process holds the shard.
    fn epoch(&self, shard: Shard) -> Epoch;

    /// Writes a consistent copy of the store to a new file or folder at `target` while it is in use.
    fn backup(&self, target: std::path::PathBuf) -> BoxFuture<'_, Result<(), ReadError>>;

    /// Waits for the commits under way, then closes the store. Later commits fail with [`CommitError::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;
}

impl dyn Engine + '_ {
    /// The row with this key as it is now, for who reads nothing beside.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn get_now<K: Keyspace>(
        &self,
        key: &K::Key,
    ) -> impl Future<Output = Result<Option<K>, ReadError>> + Send {
        let row = self.get_row(K::DEF, key.to_datums());
        async move { Ok(row.await?.map(K::from_row).transpose()?) }
    }
}

/// A consistent view of the store. Bulk reads only: one call, one round trip.
pub trait Snapshot: Send + Sync {
    /// The newest position that this view contains.
    fn position(&self) -> Pos;

    /// The rows with these keys, in the order of the keys.
    fn get_many<'s>(
        &'s self,
        keyspace: &'static KeyspaceDef,
        keys: Vec<Vec<Datum>>,
    ) -> BoxFuture<'s, Result<Vec<Option<Row>>, ReadError>>;

    /// The rows of each scan.
    fn scan_many(&self, scans: Vec<Scan>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, ReadError>>;
}

/// What a commit assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The batch's first position; its placeholder `n` became `first.nth(n)`. Where the batch took none, the newest
    /// position of the store.
    pub first: Pos,
}

/// The announcement of one commit.
#[derive(Clone, Debug)]
pub struct CommitNotice {
    /// The newest position after the commit.
    pub position: Pos,
    /// What the batch was about.
    pub topics: Vec<Topic>,
}

/// How many notices an engine keeps for a receiver that has not taken them yet.
pub const NOTICES: usize = 4096;

/// Whose store it is. Written when the store is made, checked whenever it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The Matrix server name.
    pub server_name: String,
}

/// Why a batch was not applied. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// An expectation did not hold, or a counter's row was missing: reload and plan again.
    #[error("the batch expected something else in {keyspace}")]
    Conflict {
        /// Where.
        keyspace: &'static str,
    },
    /// Another process took the shard over.
    #[error("this process no longer holds shard {}", .0.number())]
    Fenced(Shard),
    /// More than [`crate::MAX_BATCH_BYTES`].
    #[error("the batch has {0} bytes, more than a commit takes")]
    TooLarge(usize),
    /// It does not fit the declarations: a mistake in the calling code.
    #[error(transparent)]
    Malformed(#[from] crate::Malformed),
    /// No room on the disk. Later commits may succeed.
    #[error("the disk is full")]
    Full,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Anything else that kept the disk or the database from taking it. The caller can't know whether a later
    /// attempt succeeds; where the disk failed while it wrote, nor whether the batch is there after all when the
    /// store is opened again.
    #[error("the store could not write")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A row does not have the form that its keyspace declares.
    #[error(transparent)]
    Damaged(#[from] RowError),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Something was committed since the position that a deferred view is of: read anew.
    #[error("the store has moved on")]
    Moved,
    /// The disk or the database did not answer.
    #[error("the store could not read")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a store could not be opened. Each message is one line for the operator, and nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It belongs to another server.
    #[error("the store at {path} belongs to the server {found}, not to {expected}")]
    Foreign {
        /// Where the store is.
        path: String,
        /// Whose it is.
        found: String,
        /// Who wanted to open it.
        expected: String,
    },
    /// A newer release wrote it.
    #[error(
        "the store at {path} has schema {found}, newer than this release's {supported}: use a newer release"
    )]
    Newer {
        /// Where the store is.
        path: String,
        /// Its schema version.
        found: i64,
        /// The newest this program knows.
        supported: i64,
    },
    /// Another process has it open.
    #[error("the store at {path} is in use by another process")]
    Locked {
        /// Where the store is.
        path: String,
    },
    /// It can't be read or made.
    #[error("the store at {path} can't be opened: {problem}")]
    Unusable {
        /// Where the store is.
        path: String,
        /// What stood in the way.
        problem: String,
    },
}
