//! A store that lets a test do something between the moment a commit was planned and the moment it is applied.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use myelin_model::{Epoch, Pos, Shard};
use myelin_store::memory::MemoryEngine;
use myelin_store::{Batch, CommitError, CommitNotice, Committed, Engine, ReadError, Snapshot};
use tokio::sync::{broadcast, watch};

pub(super) struct Interrupted {
    inner: MemoryEngine,
    interruption: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl Interrupted {
    pub(super) fn new(inner: MemoryEngine) -> Self {
        Self { inner, interruption: Mutex::new(None) }
    }

    /// The next commit waits until this is done. Commits that it makes itself are not held up.
    pub(super) fn before_next_commit(&self, interruption: impl Future<Output = ()> + Send + 'static) {
        *self.interruption.lock().unwrap() = Some(Box::pin(interruption));
    }
}

impl Engine for Interrupted {
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, ReadError>> {
        self.inner.snapshot()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>> {
        let interruption = self.interruption.lock().unwrap().take();
        Box::pin(async move {
            if let Some(interruption) = interruption {
                interruption.await;
            }
            self.inner.commit(batch).await
        })
    }

    fn positions(&self) -> watch::Receiver<Pos> {
        self.inner.positions()
    }

    fn notices(&self) -> broadcast::Receiver<Arc<CommitNotice>> {
        self.inner.notices()
    }

    fn epoch(&self, shard: Shard) -> Epoch {
        self.inner.epoch(shard)
    }

    fn backup(&self, target: PathBuf) -> BoxFuture<'_, Result<(), ReadError>> {
        self.inner.backup(target)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
