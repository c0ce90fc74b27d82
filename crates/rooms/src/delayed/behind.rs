//! Writes restarts that were answered from memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use myelin_model::{Fence, Shard};
use myelin_store::schema::delayed::{DelayStatus, DelayedEvent};
use myelin_store::{Batch, CommitError, Reader};

use super::restarts::Unwritten;
use crate::{Rooms, SendError};

/// How long restarts wait for others. Well below [`super::restarts::SLACK`], so that a store that is slow for a moment
/// does not make every restart wait for a commit.
const BEHIND: Duration = Duration::from_secs(3);
/// The most in one commit.
const AT_ONCE: usize = 1_024;
/// How often times are written again at the end where an event changed meanwhile.
const TRIES: usize = 3;

impl Rooms {
    /// Starts writing behind. What waits when the server stops is written then.
    pub(super) fn start_writing_restarts(self: &Arc<Self>) {
        let rooms = Arc::clone(self);
        self.deps.env.tasks.supervise("restarts of delayed events", move || {
            let rooms = Arc::clone(&rooms);
            async move { rooms.write_restarts_until(rooms.deps.env.tasks.stopping()).await }
        });
    }

    async fn write_restarts_until(&self, stopping: impl Future<Output = ()>) {
        tokio::pin!(stopping);
        loop {
            let more = async {
                if !self.delays.restarts.has_unwritten() {
                    self.delays.restarted.notified().await;
                }
                tokio::time::sleep(BEHIND).await;
            };
            tokio::select! {
                () = more => self.write_and_tell().await,
                () = &mut stopping => break,
            }
        }
        self.delays.restarts.close();
        for _ in 0..TRIES {
            self.write_and_tell().await;
            if !self.delays.restarts.has_unwritten() {
                return;
            }
        }
    }

    async fn write_and_tell(&self) {
        match self.write_restarts().await {
            // The store tells the operator of a full disk; every try would be too often.
            Ok(()) | Err(SendError::Full) => {}
            Err(error) => {
                tracing::warn!(%error, "restarts of delayed events could not be written; they are tried again");
            }
        }
    }

    /// Writes every time that runs in memory and changed.
    async fn write_restarts(&self) -> Result<(), SendError> {
        let mut by_room: HashMap<Shard, Vec<Unwritten>> = HashMap::new();
        for time in self.delays.restarts.unwritten() {
            by_room.entry(time.room).or_default().push(time);
        }
        let parts =
            by_room.iter().flat_map(|(room, times)| times.chunks(AT_ONCE).map(|times| (*room, times)));
        // Commits that wait at the same time share the disk's sync. One that fails does not keep the others back.
        let written = join_all(parts.map(|(room, times)| self.write_times(room, times))).await;
        written.into_iter().collect()
    }

    async fn write_times(&self, room: Shard, times: &[Unwritten]) -> Result<(), SendError> {
        let mut batch = Batch::new(Fence { shard: room, epoch: self.deps.engine.epoch(room) });
        for time in times {
            let key = (time.delay_id.clone(),);
            batch.expect_column::<DelayedEvent>(&key, "status", &DelayStatus::Pending);
            batch.expect_column::<DelayedEvent>(&key, "due", &time.written);
            batch.add::<DelayedEvent>(&key, "due", time.due.saturating_sub(time.written));
        }
        match self.deps.engine.commit(batch).await {
            Ok(_) => self.delays.restarts.wrote(times),
            Err(CommitError::Conflict { .. }) => {
                self.delays.restarts.failed();
                // Some of them ended or were written by a request meanwhile: the others are written the next time.
                let keys: Vec<_> = times.iter().map(|time| (time.delay_id.clone(),)).collect();
                let snapshot = self.deps.engine.snapshot().await?;
                let rows = snapshot.get_all::<DelayedEvent>(&keys).await?;
                self.delays.restarts.correct(times, &rows);
            }
            Err(error) => {
                self.delays.restarts.failed();
                return Err(error.into());
            }
        }
        Ok(())
    }
}
