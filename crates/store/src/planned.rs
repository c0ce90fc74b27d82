//! Batches that were planned from what was read, and may find it changed.

use crate::{Batch, CommitError, Engine};

/// What became of a planned batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned {
    /// It is durable.
    Done,
    /// Something it expected was not so: it is to be planned again, from a new snapshot.
    Again,
}

impl Batch {
    /// Commits what was planned; a conflict counts one attempt, of so many at most, and asks for another plan. An empty batch is
    /// done.
    ///
    /// # Errors
    /// When the commit fails, or meets a conflict at the last attempt.
    pub async fn try_commit(
        self,
        engine: &dyn Engine,
        attempt: &mut u32,
        most: u32,
    ) -> Result<Planned, CommitError> {
        if self.is_empty() {
            return Ok(Planned::Done);
        }
        *attempt += 1;
        match engine.commit(self).await {
            Ok(_) => Ok(Planned::Done),
            Err(CommitError::Conflict { .. }) if *attempt < most => Ok(Planned::Again),
            Err(error) => Err(error),
        }
    }
}
