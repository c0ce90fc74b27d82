//! The embedded engine: one SQLite file.
//!
//! - One thread owns the connection that writes ([`committer`]). It takes every batch that waits into one transaction,
//!   so that all of them share one fsync, and answers after it.
//! - Readers come from a bounded pool ([`readers`]); each snapshot is one read transaction. Reads run on the calling
//!   thread: they take microseconds, less than a change of threads.
//! - A third connection ([`upkeep`]) copies the write-ahead log back into the file, so that no commit has to.

mod apply;
mod backup;
mod committer;
mod failure;
mod layout;
mod lock;
mod near;
mod open;
mod readers;
mod upkeep;
mod value;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use futures_util::future::{BoxFuture, FutureExt, ready};
use myelin_model::{Epoch, Pos, Shard};
use myelin_store::{
    Batch, CommitError, CommitNotice, Committed, Datum, Engine, Identity, KeyspaceDef, OpenError, ReadError,
    Row, Snapshot,
};
use tokio::sync::{Semaphore, broadcast, oneshot, watch};

use self::committer::{Job, Message};
use self::readers::Readers;
use crate::statement::Statements;

/// What a power cut may take (design: `durability`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DurabilityMode {
    /// Nothing: each commit waits for the disk.
    #[default]
    Sync,
    /// The last 100 ms of what is marked [`myelin_store::Durability::MayLag`].
    Relaxed,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// What a power cut may take.
    pub durability: DurabilityMode,
    /// How many snapshots may exist at once. One more waits.
    pub readers: u32,
    /// Pages of 4 KiB in the write-ahead log from which they are copied back into the file. At four times as many, the
    /// log starts over.
    pub log_pages: u32,
    /// Keyspaces besides those of the schema, for tests.
    pub extra_keyspaces: &'static [&'static KeyspaceDef],
    /// The most pages of 4 KiB that the file may have; beyond it, commits fail with [`CommitError::Full`].
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            durability: DurabilityMode::default(),
            readers: 16,
            log_pages: 4096,
            extra_keyspaces: &[],
            max_pages: None,
        }
    }
}

/// Bytes of batches that may wait for the committer; whoever brings more waits outside.
const QUEUE_BYTES: usize = 32 << 20;
/// The unit in which the queue's room is counted.
const QUEUE_UNIT: usize = 256;

/// A store in one SQLite file. Dropping it closes it.
#[derive(Debug)]
pub struct SqliteEngine {
    path: PathBuf,
    readers: Arc<Readers>,
    epochs: Vec<Epoch>,
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    closing: AtomicBool,
    committer: Mutex<Option<JoinHandle<()>>>,
    announce: Arc<Announce>,
}

/// Those who are told of commits.
#[derive(Debug)]
struct Announce {
    positions: watch::Sender<Pos>,
    notices: broadcast::Sender<Arc<CommitNotice>>,
}

impl SqliteEngine {
    /// Opens the store at `path`, or makes it there. Its folder must exist. Raises the epoch of every shard.
    ///
    /// # Errors
    /// When the store belongs to another server or a newer release, is open elsewhere, or can't be used. A store that
    /// existed is left as it was.
    pub fn open(path: &Path, identity: &Identity, options: SqliteOptions) -> Result<Self, OpenError> {
        let keyspaces: Vec<&'static KeyspaceDef> =
            myelin_store::schema::all().chain(options.extra_keyspaces.iter().copied()).collect();
        let opened = open::open(path, identity, &options, &keyspaces)?;
        let statements = Arc::new(Statements::new(crate::Dialect::Sqlite, &keyspaces));
        let announce = Arc::new(Announce {
            positions: watch::Sender::new(opened.position),
            notices: broadcast::Sender::new(myelin_store::NOTICES),
        });
        let (queue, jobs) = mpsc::channel();
        let committer = committer::Committer::new(path, &options, &opened, &statements, &announce);
        let unusable = |error: std::io::Error| open::unusable(path, &error);
        let upkeep = upkeep::start(path, &options).map_err(unusable)?;
        let (connection, lock) = (opened.connection, opened.lock);
        let committer = std::thread::Builder::new()
            .name("store-commit".to_owned())
            .spawn(move || committer.run(connection, upkeep, &jobs, lock))
            .map_err(unusable)?;
        Ok(Self {
            path: path.to_owned(),
            readers: Arc::new(Readers::new(path, options.readers, statements)),
            epochs: opened.epochs,
            queue,
            room: Arc::new(Semaphore::new(QUEUE_BYTES / QUEUE_UNIT)),
            closing: AtomicBool::new(false),
            committer: Mutex::new(Some(committer)),
            announce,
        })
    }

    fn start_closing(&self) -> oneshot::Receiver<()> {
        self.closing.store(true, Ordering::Release);
        self.room.close();
        self.readers.close();
        let (done, closed) = oneshot::channel();
        // Where the committer has ended already, the receiver learns it from the dropped sender.
        drop(self.queue.send(Message::Close(done)));
        closed
    }
}

impl Engine for SqliteEngine {
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, ReadError>> {
        Box::pin(async { Ok(Box::new(self.readers.snapshot().await?) as Box<dyn Snapshot>) })
    }

    fn get_row<'e>(
        &'e self,
        keyspace: &'static KeyspaceDef,
        key: Vec<Datum>,
    ) -> BoxFuture<'e, Result<Option<Row>, ReadError>> {
        Box::pin(self.readers.get(keyspace, key))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>> {
        if let Err(error) = batch.check() {
            return Box::pin(ready(Err(error)));
        }
        let units = 1 + u32::try_from(batch.size() / QUEUE_UNIT).unwrap_or(u32::MAX);
        let send = |room| {
            let (reply, answer) = oneshot::channel();
            // A committer that has ended drops the job, and with it the reply.
            drop(self.queue.send(Message::Commit(Job { batch, reply, room })));
            answer.map(|answer| answer.unwrap_or(Err(CommitError::Closed)))
        };
        match Arc::clone(&self.room).try_acquire_many_owned(units) {
            Ok(room) => Box::pin(send(room)),
            Err(_) => Box::pin(async move {
                let room = Arc::clone(&self.room).acquire_many_owned(units).await;
                send(room.map_err(|_| CommitError::Closed)?).await
            }),
        }
    }

    fn positions(&self) -> watch::Receiver<Pos> {
        self.announce.positions.subscribe()
    }

    fn notices(&self) -> broadcast::Receiver<Arc<CommitNotice>> {
        self.announce.notices.subscribe()
    }

    fn epoch(&self, shard: Shard) -> Epoch {
        // Every shard got an epoch when the store was opened; no commit is taken under 0.
        self.epochs.get(usize::from(shard.number())).copied().unwrap_or(Epoch(0))
    }

    fn backup(&self, target: PathBuf) -> BoxFuture<'_, Result<(), ReadError>> {
        if self.closing.load(Ordering::Acquire) {
            return Box::pin(ready(Err(ReadError::Closed)));
        }
        Box::pin(backup::run(self.path.clone(), target))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let closed = self.start_closing();
        // An error means that it was closed before.
        Box::pin(closed.map(drop))
    }
}

impl Drop for SqliteEngine {
    fn drop(&mut self) {
        drop(self.start_closing());
        let committer = self.committer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer {
            // It panicked or it ended; either way it is gone, and with it the lock on the store.
            drop(committer.join());
        }
    }
}
