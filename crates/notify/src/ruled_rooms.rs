//! Which rooms have members with push rules of their own, as far as need be: most rooms have none, and then a message
//! need not ask the store.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use myelin_model::RoomNid;
use myelin_store::schema::notify::PushMember;
use myelin_store::{ReadError, Reader, Scan};

use crate::Notify;

/// Rooms that have such members, or had. It only grows: whoever writes a row names the room here before.
#[derive(Default)]
pub(crate) struct RuledRooms {
    rooms: Mutex<HashSet<RoomNid>>,
    /// What the store had when the process started is in it.
    complete: AtomicBool,
}

impl RuledRooms {
    /// The room is about to have one.
    pub(crate) fn note(&self, room: RoomNid) {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).insert(room);
    }

    /// Whether the room may have one.
    pub(crate) fn may_have(&self, room: RoomNid) -> bool {
        let is_known = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).contains(&room);
        is_known || !self.complete.load(Ordering::Acquire)
    }
}

impl Notify {
    /// Takes up what the store has, one look for each room.
    pub(crate) async fn load_ruled_rooms(&self) -> Result<(), ReadError> {
        let snapshot = self.engine.snapshot().await?;
        let mut after = RoomNid(i64::MIN);
        loop {
            let scan = Scan::index::<PushMember>(PushMember::BY_RULES, (true,), 1).after((after,));
            let Some(member) = snapshot.scan::<PushMember>(scan).await?.pop() else { break };
            self.ruled_rooms.note(member.room);
            after = member.room;
        }
        self.ruled_rooms.complete.store(true, Ordering::Release);
        Ok(())
    }
}
