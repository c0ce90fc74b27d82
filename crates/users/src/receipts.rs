//! Receipts and the fully-read marker (client-server API, "Receipts", "Read and unread markers").

use bytes::Bytes;
use futures_util::future::BoxFuture;
use myelin_model::{Pos, Requester, RoomNid, Topic};
use myelin_store::schema::rooms::{Event, EventStatus};
use myelin_store::schema::users::{AccountData, Receipt};
use myelin_store::{Batch, CommitError, Durability, Planned, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedEventId, RoomId, UserId};
use serde_json::{Value, json};

use crate::account_data::FULLY_READ;
use crate::{Users, member, threads};

const READ: &str = "m.read";
const READ_PRIVATE: &str = "m.read.private";

/// The part of a room that a receipt is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Thread {
    /// All of it, whatever thread.
    #[default]
    Unthreaded,
    /// What is in no thread.
    Main,
    /// The thread with this root.
    Root(OwnedEventId),
}

impl Thread {
    /// The stored form; see [`Receipt::thread`].
    fn as_str(&self) -> &str {
        match self {
            Self::Unthreaded => "",
            Self::Main => "main",
            Self::Root(root) => root.as_str(),
        }
    }
}

/// What one request marks as read, each up to and including an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `m.read`, which others see.
    pub read: Option<OwnedEventId>,
    /// `m.read.private`, which nobody else sees.
    pub read_private: Option<OwnedEventId>,
    /// What both of them are about.
    pub thread: Thread,
    /// `m.fully_read`, a marker in the room's account data.
    pub fully_read: Option<OwnedEventId>,
}

/// How far a user has read, for whoever counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// Who.
    pub user_id: &'a UserId,
    /// In which room.
    pub room: RoomNid,
    /// The order of the last event they read.
    pub order: i64,
    /// The room's notification counter after that event.
    pub counter: i64,
    /// What of the room they read.
    pub thread: &'a Thread,
}

/// Learns of each receipt before its commit and adds its own rows to the same batch. `notify` is behind it.
pub trait ReadUpTo: Send + Sync + 'static {
    /// Adds what follows from a receipt. The batch is planned anew when something it expects is not so.
    fn extend<'a>(
        &'a self,
        snapshot: &'a dyn Snapshot,
        batch: &'a mut Batch,
        reading: Reading<'a>,
    ) -> BoxFuture<'a, Result<(), ReadError>>;
}

/// Why nothing was marked as read.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The user is not in the room; whether it exists is not told.
    #[error("you are not in this room")]
    NotInRoom,
    /// There is no such event in the room's timeline.
    #[error("there is no event {0} in this room")]
    NoSuchEvent(OwnedEventId),
    /// The event belongs to another thread.
    #[error("the event {0} is not in this thread")]
    OtherThread(OwnedEventId),
    /// The fully-read marker knows no threads.
    #[error("m.fully_read is not about a thread")]
    NoThread,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// An event that a mark names, with its place.
struct Marked {
    event_id: OwnedEventId,
    order: i64,
    counter: i64,
}

/// What a request names, looked up.
struct Found {
    room: RoomNid,
    read: Option<Marked>,
    read_private: Option<Marked>,
    fully_read: Option<Marked>,
}

impl Users {
    /// Moves the user's marks in a room forward, together. A mark that is ahead already stays where it is.
    ///
    /// # Errors
    /// See [`ReceiptError`]; then nothing was moved.
    pub async fn mark_read(
        &self,
        requester: &Requester,
        room_id: &RoomId,
        marks: &Marks,
    ) -> Result<(), ReceiptError> {
        if marks.fully_read.is_some() && marks.thread != Thread::Unthreaded {
            return Err(ReceiptError::NoThread);
        }
        let user_id = &requester.user_id;
        let _turn = self.turns.of(myelin_model::Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let found = find(&*snapshot, room_id, user_id, marks).await?;
            let mut batch = self.batch(user_id);
            batch.durability = Durability::MayLag;
            for (kind, marked) in [(READ, &found.read), (READ_PRIVATE, &found.read_private)] {
                let Some(marked) = marked else { continue };
                let receipt = Receipt {
                    room: found.room,
                    user_id: user_id.clone(),
                    kind: kind.to_owned(),
                    thread: marks.thread.as_str().to_owned(),
                    event_id: marked.event_id.clone(),
                    order: marked.order,
                    at: self.now(),
                    changed: Pos::ZERO,
                };
                move_receipt(&*snapshot, &mut batch, receipt).await?;
            }
            if let Some(marked) = &found.fully_read {
                move_marker(&*snapshot, &mut batch, user_id, found.room, marked).await?;
            }
            let furthest = found.read.iter().chain(&found.read_private).max_by_key(|marked| marked.order);
            if let Some(Marked { order, counter, .. }) = furthest {
                let (room, thread) = (found.room, &marks.thread);
                let reading = Reading { user_id, room, order: *order, counter: *counter, thread };
                self.read_up_to.extend(&*snapshot, &mut batch, reading).await?;
            }
            batch.wake(Topic::user(user_id.as_str()));
            drop(snapshot);
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(());
            }
        }
    }
}

/// Puts the receipt into the batch unless one that is ahead of it is there.
async fn move_receipt(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    mut receipt: Receipt,
) -> Result<(), ReadError> {
    let Receipt { room, user_id, kind, thread, .. } = receipt.clone();
    let key = (room, user_id, kind, thread);
    match snapshot.get::<Receipt>(&key).await? {
        Some(row) if row.order >= receipt.order => return Ok(()),
        Some(row) => batch.expect_column::<Receipt>(&key, "order", &row.order),
        None => batch.expect_absent::<Receipt>(&key),
    }
    if receipt.kind == READ {
        batch.wake(Topic::Room(room));
    }
    receipt.changed = batch.next_pos();
    batch.put(&receipt);
    Ok(())
}

/// Looks up the room and every event that the marks name.
async fn find(
    snapshot: &dyn Snapshot,
    room_id: &RoomId,
    user_id: &UserId,
    marks: &Marks,
) -> Result<Found, ReceiptError> {
    let room = member::joined_room(snapshot, room_id, user_id).await?.ok_or(ReceiptError::NotInRoom)?;
    let named = [&marks.read, &marks.read_private, &marks.fully_read];
    let scans = named.iter().copied().flatten();
    let scans = scans.map(|event_id| Scan::index::<Event>(Event::BY_ID, (event_id.clone(),), 1));
    let mut rows = snapshot.scan_all::<Event>(scans.collect()).await?.into_iter();
    let mut found = [None, None, None];
    for (slot, event_id) in found.iter_mut().zip(named) {
        let Some(event_id) = event_id else { continue };
        let event = rows.next().and_then(|mut rows| rows.pop()).filter(|event| is_shown(event, room));
        let event = event.ok_or_else(|| ReceiptError::NoSuchEvent(event_id.clone()))?;
        if !threads::belongs(snapshot, &event, &marks.thread).await? {
            return Err(ReceiptError::OtherThread(event_id.clone()));
        }
        let order = event.order.unwrap_or_default();
        *slot = Some(Marked { event_id: event.event_id, order, counter: event.counter });
    }
    let [read, read_private, fully_read] = found;
    Ok(Found { room, read, read_private, fully_read })
}

/// Whether the event stands in the room's timeline.
fn is_shown(event: &Event, room: RoomNid) -> bool {
    let stands = matches!(event.status, EventStatus::Accepted | EventStatus::Partial | EventStatus::Expired);
    event.room == room && event.order.is_some() && stands
}

async fn move_marker(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    user_id: &UserId,
    room: RoomNid,
    marked: &Marked,
) -> Result<(), ReadError> {
    let key = (user_id.to_owned(), room, FULLY_READ.to_owned());
    match snapshot.get::<AccountData>(&key).await? {
        Some(row) => {
            if marker_order(snapshot, &row).await?.is_some_and(|order| order >= marked.order) {
                return Ok(());
            }
            batch.expect_column::<AccountData>(&key, "changed", &row.changed);
        }
        None => batch.expect_absent::<AccountData>(&key),
    }
    let (user_id, room, kind) = key;
    let content = Bytes::from(json!({ "event_id": marked.event_id }).to_string());
    let changed = batch.next_pos();
    batch.put(&AccountData { user_id, room, kind, content, changed });
    Ok(())
}

/// Where the fully-read marker stands; none if its event is gone.
async fn marker_order(snapshot: &dyn Snapshot, marker: &AccountData) -> Result<Option<i64>, ReadError> {
    let content: Value = serde_json::from_slice(&marker.content).unwrap_or_default();
    let event_id = content["event_id"].as_str().and_then(|id| OwnedEventId::try_from(id).ok());
    let Some(event_id) = event_id else { return Ok(None) };
    let scan = Scan::index::<Event>(Event::BY_ID, (event_id,), 1);
    Ok(snapshot.scan::<Event>(scan).await?.pop().and_then(|event| event.order))
}

#[cfg(test)]
mod tests;
