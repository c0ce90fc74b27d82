//! What happens to delayed events when their time has come.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
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

/// What the requests and the worker share.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    /// Told of each change: something may be due earlier.
    pub(super) changed: tokio::sync::Notify,
}

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
        let is_restarted = |row: &&DelayedEvent| row.status == DelayStatus::Pending && row.due > row.wake;
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

    /// Notes when restarted events are to be looked at again. One that changed meanwhile is left as it is.
    async fn put_off(&self, restarted: impl Iterator<Item = &DelayedEvent>) -> Result<(), SendError> {
        let put_off = async |row: &DelayedEvent| {
            self.swap(row, &DelayedEvent { wake: row.due, ..row.clone() }).await.map(drop)
        };
        // Commits that wait at the same time share the disk's sync.
        try_join_all(restarted.map(put_off)).await.map(drop)
    }

    async fn handle(&self, row: DelayedEvent) -> Result<(), SendError> {
        match row.status {
            DelayStatus::Pending => {
                let sending = DelayedEvent { status: DelayStatus::Sending, ..row.clone() };
                // Somebody restarted or ended it just now.
                if !self.swap(&row, &sending).await? {
                    return Ok(());
                }
                self.send_delayed(sending).await
            }
            // By a process that ended meanwhile.
            DelayStatus::Sending => self.send_delayed(row).await,
            DelayStatus::Sent | DelayStatus::Failed | DelayStatus::Cancelled => {
                let mut batch = Batch::new(self.deps.fence(&row.room_id));
                batch.delete::<DelayedEvent>(&(row.delay_id,));
                self.deps.engine.commit(batch).await?;
                Ok(())
            }
        }
    }
}
