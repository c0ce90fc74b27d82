//! Interned ids, reserved in blocks ahead of their use.

use myelin_model::{Fence, Shard};

use crate::schema::node::Counter;
use crate::{Batch, CommitError, Engine, ReadError};

/// A block of ids that only its holder hands out. What is left of it when the process ends is never used.
#[derive(Debug)]
pub struct IdBlock {
    next: i64,
    end: i64,
}

impl IdBlock {
    /// The next id of the block, or `None` when it is used up.
    pub fn take(&mut self) -> Option<i64> {
        (self.next < self.end).then(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

/// Why ids could not be reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// The counter could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The counter could not be moved on.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Reserves the next `size` ids under `name`, durably: no other call, process or restart gets one of them.
///
/// # Errors
/// When the store can't be read or written. A conflict with another reservation is retried a few times.
pub async fn reserve_ids(engine: &dyn Engine, name: &str, size: i64) -> Result<IdBlock, ReserveError> {
    const ATTEMPTS: u32 = 8;
    let shard = Shard::of(name);
    let key = (name.to_owned(),);
    let mut attempt = 0;
    loop {
        let found = engine.get_now::<Counter>(&key).await?;
        let mut batch = Batch::new(Fence { shard, epoch: engine.epoch(shard) });
        let next = match &found {
            Some(counter) => {
                batch.expect_column::<Counter>(&key, "next", &counter.next);
                counter.next
            }
            None => {
                batch.expect_absent::<Counter>(&key);
                1
            }
        };
        batch.put(&Counter { name: name.to_owned(), next: next + size });
        attempt += 1;
        match engine.commit(batch).await {
            Ok(_) => return Ok(IdBlock { next, end: next + size }),
            Err(CommitError::Conflict { .. }) if attempt < ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
}
