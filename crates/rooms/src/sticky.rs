//! Sticky events (MSC4354): what is kept of them besides the events themselves.
//!
//! A row says that an event is sticky and until when; it is written with the event (`plan::sticky`) and whoever reads it
//! holds it against the time. So nothing depends on when a row is deleted, which happens here, some time after.

use std::sync::Arc;
use std::time::Duration;

use myelin_store::schema::rooms::Event;
use myelin_store::schema::sticky::StickyEvent;
use myelin_store::{Batch, Durability, Reader, Scan};

use crate::{Rooms, SendError};

/// The most sticky events that one user may have in one room at a time: all of a room's are sent to whoever joins it.
pub const MAX_STICKY: usize = 256;
/// How often rows of events that are sticky no more are deleted.
const PAUSE: Duration = Duration::from_secs(60);
/// How many of them one commit deletes.
const AT_ONCE: usize = 512;

/// Deletes the row of an event that goes, or loses its content.
pub(crate) fn forget(batch: &mut Batch, event: &Event) {
    if event.sticky_until.is_some() {
        batch.delete::<StickyEvent>(&(event.room, event.pos));
    }
}

impl Rooms {
    /// Starts what deletes the rows of events that are sticky no more.
    pub(crate) fn start_forgetting_sticky(self: &Arc<Self>) {
        let rooms = Arc::clone(self);
        self.deps.env.tasks.supervise("sticky events", move || {
            let rooms = Arc::clone(&rooms);
            async move { rooms.forget_sticky_until(rooms.deps.env.tasks.stopping()).await }
        });
    }

    async fn forget_sticky_until(&self, stopping: impl Future<Output = ()>) {
        tokio::pin!(stopping);
        loop {
            if let Err(error) = self.forget_sticky().await {
                tracing::debug!(%error, "events that are sticky no more are forgotten later");
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = &mut stopping => return,
            }
        }
    }

    /// Deletes the rows of all events that are sticky no more.
    pub(crate) async fn forget_sticky(&self) -> Result<(), SendError> {
        loop {
            let snapshot = self.deps.engine.snapshot().await?;
            let ended = Scan::index::<StickyEvent>(StickyEvent::BY_END, (), AT_ONCE);
            let ended = snapshot.scan::<StickyEvent>(ended.up_to((self.deps.now(),))).await?;
            drop(snapshot);
            if ended.is_empty() || self.deps.env.tasks.is_stopping() {
                return Ok(());
            }
            let mut batch = Batch::new(self.deps.provisional_fence());
            batch.durability = Durability::MayLag;
            for row in ended {
                batch.delete::<StickyEvent>(&(row.room, row.pos));
            }
            self.deps.engine.commit(batch).await?;
        }
    }
}
