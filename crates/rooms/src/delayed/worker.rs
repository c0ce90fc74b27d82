//! What happens to delayed events when their time has come.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use myelin_model::Shard;
use myelin_store::schema::delayed::{DelayStatus, DelayedEvent};
use myelin_store::{Batch, ReadError, Reader, Scan};

use crate::{Rooms, SendError};

/// How many are taken at once.
const AT_ONCE: usize = 64;
/// How far ahead restarted events are looked for, in milliseconds, once one of them is found.
const AHEAD: i64 = 5_000;
/// How long to wait after one could not be sent for a reason that passes.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest sleep: a clock that was set is noticed then.
const LONGEST: Duration = Duration::from_secs(30);

impl Rooms {
    /// Starts what runs by itself: sending delayed events, redacting what banned users wrote. The first [`AT_ONCE`] that became due while the server was away
    /// are sent before it returns, as far as rooms can be written. Call it once.
    ///
    /// # Errors
    /// When the store can't be read: without the administrators' blocks nothing may begin.
    pub async fn start(self: &Arc<Self>) -> Result<(), ReadError> {
        self.load_blocks().await?;
        self.load_lists().await?;
        self.configure_retention().await?;
        if let Err(error) = self.send_some().await {
            tracing::warn!(%error, "overdue delayed events wait until rooms can be written");
        }
        self.start_policy();
        self.start_jobs();
        self.start_retention();
        self.start_sweeps();
        self.start_forgetting_sticky();
        let rooms = Arc::clone(self);
        self.deps.env.tasks.supervise("delayed events", move || {
            let rooms = Arc::clone(&rooms);
            async move { rooms.send_due_until(rooms.deps.env.tasks.stopping()).await }
        });
        self.start_writing_restarts();
        Ok(())
    }

    async fn send_due_until(&self, stopping: impl Future<Output = ()>) {
        tokio::pin!(stopping);
        loop {
            let wait = match self.send_due().await {
                Ok(next) => {
                    let wait = next.map(|due| due.saturating_sub(self.now()).max(0));
                    wait.map_or(LONGEST, |wait| Duration::from_millis(wait.unsigned_abs())).min(LONGEST)
                }
                // The store tells the operator of a full disk; every try would be too often.
                Err(SendError::Full) => PAUSE,
                Err(error) => {
                    tracing::warn!(%error, "delayed events wait until rooms can be written again");
                    PAUSE
                }
            };
            tokio::select! {
                () = &mut stopping => return,
                () = self.delays.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Handles all that is due, the longest overdue first, and says when the next one is.
    async fn send_due(&self) -> Result<Option<i64>, SendError> {
        loop {
            if let Some(next) = self.send_some().await? {
                return Ok(next);
            }
        }
    }

    /// Handles up to [`AT_ONCE`] that are due. Says when the next one is, if any; nothing where more may be due now.
    async fn send_some(&self) -> Result<Option<Option<i64>>, SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let scan = Scan::index::<DelayedEvent>(DelayedEvent::BY_WAKE, (), AT_ONCE);
        let rows = snapshot.scan::<DelayedEvent>(scan).await?;
        drop(snapshot);
        let now = self.now();
        let all = rows.is_empty();
        let is_restarted = |row: &&DelayedEvent| {
            row.status == DelayStatus::Pending && self.delays.restarts.due(row) > row.wake
        };
        if rows.iter().filter(is_restarted).any(|row| row.wake <= now) {
            // With those whose turn would be soon, so that many callers share one commit.
            let soon = now.saturating_add(AHEAD);
            self.put_off(rows.iter().filter(is_restarted).filter(|row| row.wake <= soon)).await?;
            return Ok(None);
        }
        for row in rows {
            if row.wake > now {
                return Ok(Some(Some(row.wake)));
            }
            self.handle(row).await?;
        }
        Ok(all.then_some(None))
    }

    /// Notes when restarted events are to be looked at again. Where one ended meanwhile, its shard's are looked at again.
    async fn put_off(&self, restarted: impl Iterator<Item = &DelayedEvent>) -> Result<(), SendError> {
        let mut batches: HashMap<Shard, Batch> = HashMap::new();
        for row in restarted {
            let room = Shard::of(row.room_id.as_str());
            let batch = batches.entry(room).or_insert_with(|| Batch::new(self.deps.fence(&row.room_id)));
            let later = self.delays.restarts.due(row).saturating_sub(row.wake);
            let key = (row.delay_id.clone(),);
            batch.expect_column::<DelayedEvent>(&key, "status", &DelayStatus::Pending);
            batch.add::<DelayedEvent>(&key, "wake", later);
        }
        // Commits that wait at the same time share the disk's sync.
        try_join_all(batches.into_values().map(|batch| self.was_unchanged(batch))).await.map(drop)
    }

    async fn handle(&self, row: DelayedEvent) -> Result<(), SendError> {
        match row.status {
            DelayStatus::Pending => match self.begin_sending(row).await? {
                Some(sending) => self.send_delayed(sending).await,
                // Somebody restarted or ended it just now.
                None => Ok(()),
            },
            // By a process that ended meanwhile.
            DelayStatus::Sending => self.send_delayed(row).await,
            DelayStatus::Sent | DelayStatus::Failed | DelayStatus::Cancelled => {
                let mut batch = Batch::new(self.deps.fence(&row.room_id));
                let delay_id = row.delay_id;
                batch.delete::<DelayedEvent>(&(delay_id.clone(),));
                self.deps.engine.commit(batch).await?;
                // Nothing is left of one whose end its client did not wait for.
                self.delays.restarts.forget(&delay_id);
                Ok(())
            }
        }
    }

    /// Marks an event whose time has come as being sent, unless it was changed since its row was read.
    async fn begin_sending(&self, row: DelayedEvent) -> Result<Option<DelayedEvent>, SendError> {
        let _turn = self.delays.turns.of(Shard::of(&row.delay_id)).await;
        let Some(due) = self.delays.restarts.take_due(&row, self.now()) else { return Ok(None) };
        let sending = DelayedEvent { status: DelayStatus::Sending, due, ..row.clone() };
        if !self.swap(&row, &sending).await? {
            return Ok(None);
        }
        self.delays.restarts.forget(&row.delay_id);
        Ok(Some(sending))
    }
}
