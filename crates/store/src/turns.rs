//! Taking turns: those who read, change and write rows of the same shard go one after the other.
//!
//! Every batch carries its expectations, so turns are not what makes it right; they keep a crowd of changes from planning on
//! the same rows and failing all but one at a time.

use myelin_model::{SHARDS, Shard};
use tokio::sync::{Mutex, MutexGuard};

/// One queue for each shard. Each service has its own.
#[derive(Debug)]
pub struct Turns(Box<[Mutex<()>]>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::new(())).collect())
    }
}

impl Turns {
    /// Waits for the shard's turn, in order of arrival. Hold at most one.
    pub async fn of(&self, shard: Shard) -> MutexGuard<'_, ()> {
        // There is a queue for each shard number; see `default`.
        self.0[usize::from(shard.number())].lock().await
    }
}
