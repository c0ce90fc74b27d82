//! Redacting what a kicked or banned user wrote, page by page (MSC4293).
//!
//! The kick or ban writes a row that says what is to go; each page of redactions moves that row on in its own commit. So a
//! crash interrupts it anywhere and the next start goes on.

use std::sync::Arc;
use std::time::Duration;

use myelin_model::{EventNid, RoomNid};
use myelin_pdu::{CanonicalObject, CanonicalValue};
use myelin_store::schema::erasure::{Erasure, RedactionSweep};
use myelin_store::schema::rooms::Event;
use myelin_store::schema::search::SearchCursor;
use myelin_store::{Batch, Durability, Reader, Scan, Snapshot};

use crate::command::{SweepPage, What};
use crate::{Rooms, SendError};

/// The key of a kick or ban that takes along what its target wrote, in both its forms.
pub(crate) const FLAGS: [&str; 2] = ["redact_events", "org.matrix.msc4293.redact_events"];

/// How many events are looked at for one page, and how many of them it redacts.
const LOOKED_AT: usize = 512;
const AT_ONCE: usize = 128;
/// How many pages a kick or ban waits for; the rest follows it.
const WAITED_FOR: usize = 8;
/// How often the rows are looked at that a crash or a failure has left; there are none almost always.
const PAUSE: Duration = Duration::from_secs(30);
/// How many rooms one look takes.
const ROOMS: usize = 256;

/// Whether a kick or ban with this content takes along what its target wrote.
pub(crate) fn asks(content: &CanonicalObject) -> bool {
    FLAGS.iter().any(|flag| content.get(flag) == Some(&CanonicalValue::Bool(true)))
}

impl Rooms {
    /// Starts what finishes sweeps.
    pub(crate) fn start_sweeps(self: &Arc<Self>) {
        let rooms = Arc::clone(self);
        self.deps.env.tasks.supervise("redaction sweeps", move || {
            let rooms = Arc::clone(&rooms);
            async move { rooms.sweep_until(rooms.deps.env.tasks.stopping()).await }
        });
    }

    /// Sees to the first pages of what a kick or ban takes along. What fails here is tried again later.
    pub(crate) async fn sweep_now(&self, room: RoomNid) {
        for _ in 0..WAITED_FOR {
            match self.sweep_page(room).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, room = room.0, "what a banned user wrote is not all redacted yet");
                    break;
                }
            }
        }
        self.sweeps.notify_one();
    }

    async fn sweep_until(&self, stopping: impl Future<Output = ()>) {
        tokio::pin!(stopping);
        loop {
            if let Err(error) = self.sweep_all().await {
                tracing::warn!(%error, "what banned users wrote is not all redacted yet");
            }
            tokio::select! {
                () = self.sweeps.notified() => {}
                () = tokio::time::sleep(PAUSE) => {}
                () = &mut stopping => return,
            }
        }
    }

    /// Finishes every sweep, the rooms in turn.
    async fn sweep_all(&self) -> Result<(), SendError> {
        self.forget_erasures().await?;
        loop {
            let snapshot = self.deps.engine.snapshot().await?;
            let rows = snapshot.scan::<RedactionSweep>(Scan::prefix::<RedactionSweep>((), ROOMS)).await?;
            drop(snapshot);
            if rows.is_empty() || self.deps.env.tasks.is_stopping() {
                return Ok(());
            }
            let mut rooms: Vec<RoomNid> = rows.into_iter().map(|row| row.room).collect();
            rooms.dedup();
            for room in rooms {
                self.sweep_page(room).await?;
            }
        }
    }

    /// Redacts one page of a room's first sweep; says whether there may be more.
    async fn sweep_page(&self, room: RoomNid) -> Result<bool, SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let rows = snapshot.scan::<RedactionSweep>(Scan::prefix::<RedactionSweep>((room,), 1)).await?;
        let Some(sweep) = rows.into_iter().next() else { return Ok(false) };
        let page = read_page(&*snapshot, sweep).await?;
        drop(snapshot);
        self.ask_owner(room, What::Sweep(page)).await?;
        Ok(true)
    }

    /// Takes back the lists of erased events that the search index is past.
    async fn forget_erasures(&self) -> Result<(), SendError> {
        let snapshot = self.deps.engine.snapshot().await?;
        let cursor = snapshot.scan::<SearchCursor>(Scan::prefix::<SearchCursor>((), 1)).await?.pop();
        let oldest = snapshot.scan::<Erasure>(Scan::prefix::<Erasure>((), 1)).await?.pop();
        let (Some(cursor), Some(oldest)) = (cursor, oldest) else { return Ok(()) };
        drop(snapshot);
        if oldest.pos <= cursor.done {
            let mut batch = Batch::new(self.deps.provisional_fence());
            batch.durability = Durability::MayLag;
            batch.delete_range(Scan::prefix::<Erasure>((), usize::MAX).up_to((cursor.done,)));
            self.deps.engine.commit(batch).await?;
        }
        Ok(())
    }
}

async fn read_page(snapshot: &dyn Snapshot, sweep: RedactionSweep) -> Result<SweepPage, SendError> {
    let scan = Scan::index::<Event>(Event::BY_ORDER, (sweep.room,), LOOKED_AT);
    let scan = scan.from((Some(sweep.from),)).before((Some(sweep.until),)).backward();
    let mut looked_at = snapshot.scan::<Event>(scan).await?;
    let whole = looked_at.len() < LOOKED_AT;
    let last = looked_at.last().and_then(|event| event.order);
    let is_theirs = |event: &Event| event.sender == sweep.user_id && event.redacted_by.is_none();
    looked_at.retain(is_theirs);
    let cut = looked_at.get(AT_ONCE).is_some();
    looked_at.truncate(AT_ONCE);
    let next = if cut { looked_at.last().and_then(|event| event.order) } else { last.filter(|_| !whole) };
    let events: Vec<EventNid> = looked_at.iter().map(|event| event.event).collect();
    Ok(SweepPage { sweep, events, next })
}
