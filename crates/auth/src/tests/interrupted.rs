//! A store that lets a test do something between the moment a commit was planned and the moment it is applied.

use std::sync::Mutex;

use futures_util::future::BoxFuture;
use myelin_store::memory::{MemoryEngine, Wraps};
use myelin_store::{Batch, CommitError, Committed, Engine};

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

impl Wraps for Interrupted {
    fn inner(&self) -> &MemoryEngine {
        &self.inner
    }

    fn commit_around(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>> {
        let interruption = self.interruption.lock().unwrap().take();
        Box::pin(async move {
            if let Some(interruption) = interruption {
                interruption.await;
            }
            self.inner.commit(batch).await
        })
    }
}
