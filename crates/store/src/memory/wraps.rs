//! The memory engine with something in its way, for tests of what happens meanwhile.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use myelin_model::{Epoch, Pos, Shard};
use tokio::sync::{broadcast, watch};

use super::MemoryEngine;
use crate::{Batch, CommitError, CommitNotice, Committed, Engine, ReadError, Snapshot};

/// An engine around the memory engine: it says what it does to snapshots and commits, and is like it in all else.
pub trait Wraps: Send + Sync + 'static {
    /// The engine within.
    fn inner(&self) -> &MemoryEngine;

    /// See [`Engine::snapshot`].
    fn snapshot_around(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, ReadError>> {
        self.inner().snapshot()
    }

    /// See [`Engine::commit`].
    fn commit_around(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>> {
        self.inner().commit(batch)
    }
}

impl<W: Wraps> Engine for W {
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, ReadError>> {
        self.snapshot_around()
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>> {
        self.commit_around(batch)
    }

    fn expect_no_snapshot(&self) {
        self.inner().expect_no_snapshot();
    }

    fn positions(&self) -> watch::Receiver<Pos> {
        self.inner().positions()
    }

    fn notices(&self) -> broadcast::Receiver<Arc<CommitNotice>> {
        self.inner().notices()
    }

    fn epoch(&self, shard: Shard) -> Epoch {
        self.inner().epoch(shard)
    }

    fn backup(&self, target: PathBuf) -> BoxFuture<'_, Result<(), ReadError>> {
        self.inner().backup(target)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner().close()
    }
}
