//! How other services take part in the commit of an event.

use futures_util::future::BoxFuture;
use myelin_model::{EventNid, Pos, RoomNid};
use myelin_pdu::Pdu;
use myelin_store::schema::rooms::Event;
use myelin_store::{Batch, ReadError, Snapshot};
use ruma::{OwnedUserId, RoomId, UserId};

/// An event that is about to be committed.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The room.
    pub room: RoomNid,
    /// The event.
    pub event: EventNid,
    /// Its bytes and header.
    pub pdu: &'a Pdu,
    /// Its place in the timeline.
    pub order: i64,
    /// When it is learnt.
    pub pos: Pos,
    /// The room's notification counter before it.
    pub counter: i64,
    /// The order of the newest event in a thread that notifies anyone, before it.
    pub thread_order: Option<i64>,
    /// How many members the room has, after it.
    pub joined: i64,
    /// Whether its sender may notify the whole room (`notifications.room` of the power levels).
    pub may_notify_room: bool,
    /// For the event by which somebody joins for the first time: the room that this one says it replaces.
    pub replaces_room: Option<&'a RoomId>,
}

/// Whether an event counts as unread for everyone whose push rules are the default ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notifies {
    /// It does, in the main timeline.
    Yes,
    /// It is in a thread, and notifies somebody there.
    InThread,
    /// It does not.
    No,
}

/// Looks at each event before its commit and adds its own rows to the same batch. `notify` implements it.
pub trait Observer: Send + Sync + 'static {
    /// Judges one event. What it adds to `batch` is committed with the event or not at all.
    fn observe<'a>(
        &'a self,
        snapshot: &'a dyn Snapshot,
        arrival: &'a Arrival<'a>,
        batch: &'a mut Batch,
    ) -> BoxFuture<'a, Result<Notifies, ReadError>>;

    /// Finishes what a user's join, committed and not answered yet, began. What does not come to its end here, or is
    /// interrupted, the observer makes up for by itself.
    fn joined<'a>(&'a self, user_id: &'a UserId) -> BoxFuture<'a, ()>;

    /// Takes back what was derived from these events, in the commit that deletes them.
    fn erased(&self, events: &[Event], batch: &mut Batch);

    /// Takes back everything about the room and these members of it, in the commit that deletes their memberships.
    fn room_purged(&self, room: RoomNid, members: &[OwnedUserId], batch: &mut Batch);

    /// A user is about to get a server notice in this room: their clients are to know the room by it.
    fn noticed<'a>(&'a self, user_id: &'a UserId, room_id: &'a RoomId) -> BoxFuture<'a, ()>;
}
