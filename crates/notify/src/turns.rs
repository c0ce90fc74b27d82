//! Taking turns: changes of one user's push settings go one after the other.
//!
//! Every batch carries its expectations, so turns are not what makes it right; they keep two changes from spreading into
//! the user's rooms at once and failing each other.

use myelin_model::{SHARDS, Shard};
use ruma::UserId;
use tokio::sync::{Mutex, MutexGuard};

/// One queue for each shard.
pub(crate) struct Turns(Box<[Mutex<()>]>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self((0..SHARDS).map(|_| Mutex::new(())).collect())
    }

    /// Waits for the turn of the user's shard, in order of arrival. Hold at most one.
    pub(crate) async fn of(&self, user_id: &UserId) -> MutexGuard<'_, ()> {
        // There is a queue for each shard number; see `new`.
        self.0[usize::from(Shard::of(user_id.as_str()).number())].lock().await
    }
}
