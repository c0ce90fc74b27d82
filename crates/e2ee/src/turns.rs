//! Taking turns: writers of one shard's keys in this process go one after the other.
//!
//! Every batch carries its expectations, so turns are not what makes it right; they keep a crowd of claims on one
//! device from planning on the same key and failing all but one at a time.

use myelin_model::{SHARDS, Shard};
use tokio::sync::{Mutex, MutexGuard};

/// One queue for each shard.
pub(crate) struct Turns(Box<[Mutex<()>]>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::new(())).collect())
    }

    /// Waits for the shard's turn, in order of arrival. Hold at most one.
    pub(crate) async fn of(&self, shard: Shard) -> MutexGuard<'_, ()> {
        // There is a queue for each shard number; see `new`.
        self.0[usize::from(shard.number())].lock().await
    }
}
