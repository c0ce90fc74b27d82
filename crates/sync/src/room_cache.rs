//! What is known of rooms, whoever looks at them: read once for all the users that a commit wakes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Room, RoomById, RoomHead, RoomSummary};
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::{OwnedRoomId, RoomId};
use rustc_hash::FxHashMap;

use crate::as_of::AsOf;
use crate::notifier::Notifier;

/// The most rooms that are kept, at about 800 bytes each.
const MOST: usize = 10_000;

/// What an answer needs to know of a room before it reads anything, whoever it is for.
#[derive(Debug)]
pub(crate) struct RoomFacts {
    pub(crate) room_id: OwnedRoomId,
    pub(crate) room_type: Option<Arc<str>>,
    pub(crate) head: RoomHead,
    pub(crate) summary: RoomSummary,
}

/// Rooms as they were at a position, and their numbers by their ids.
pub(crate) struct RoomCache {
    facts: AsOf<RoomFacts>,
    ids: Mutex<HashMap<OwnedRoomId, RoomNid>>,
}

impl RoomCache {
    pub(crate) fn new(notifier: Arc<Notifier>) -> Self {
        Self { facts: AsOf::new(notifier, MOST), ids: Mutex::default() }
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<OwnedRoomId, RoomNid>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rooms as of the snapshot. Those that are gone are left out.
    pub(crate) async fn read(
        &self,
        snapshot: &dyn Snapshot,
        rooms: &[RoomNid],
    ) -> Result<FxHashMap<RoomNid, Arc<RoomFacts>>, ReadError> {
        let position = snapshot.position().get();
        let (mut found, missing) = self.facts.at(position, rooms);
        if missing.is_empty() {
            return Ok(found);
        }
        let keys: Vec<_> = missing.iter().map(|room| (*room,)).collect();
        let heads = snapshot.get_all::<RoomHead>(&keys).await?;
        let summaries = snapshot.get_all::<RoomSummary>(&keys).await?;
        let rows = snapshot.get_all::<Room>(&keys).await?;
        let read = missing.into_iter().zip(rows).zip(heads).zip(summaries);
        let read = read.filter_map(|(((room, row), head), summary)| {
            let row = row?;
            let head = head.unwrap_or_else(|| RoomHead::empty(room));
            Some((
                room,
                Arc::new(RoomFacts {
                    room_id: row.room_id,
                    room_type: row.room_type.map(Arc::from),
                    // Nothing here looks at them, and they may be long.
                    head: RoomHead { extremities: String::new(), ..head },
                    summary: summary.unwrap_or_else(|| RoomSummary::empty(room)),
                }),
            ))
        });
        let read: Vec<(RoomNid, Arc<RoomFacts>)> = read.collect();
        self.keep(position, &read);
        found.extend(read);
        Ok(found)
    }

    fn keep(&self, position: i64, read: &[(RoomNid, Arc<RoomFacts>)]) {
        let dropped = self.facts.keep(position, read);
        let mut ids = self.ids();
        if dropped {
            ids.retain(|_, room| self.facts.has(*room));
        }
        // Ids stand for ever; there are no more of them than of rooms, but for those that were just read.
        ids.extend(read.iter().take(MOST / 2).map(|(room, facts)| (facts.room_id.clone(), *room)));
    }

    /// The rooms with these ids, as far as this server has them.
    pub(crate) async fn resolve<'i>(
        &self,
        snapshot: &dyn Snapshot,
        ids: impl Iterator<Item = &'i RoomId>,
    ) -> Result<Vec<(&'i RoomId, RoomNid)>, ReadError> {
        let mut found = Vec::new();
        let mut missing = Vec::new();
        {
            let known = self.ids();
            for id in ids {
                match known.get(id) {
                    Some(room) => found.push((id, *room)),
                    None => missing.push(id),
                }
            }
        }
        if !missing.is_empty() {
            let keys: Vec<_> = missing.iter().map(|id| ((*id).to_owned(),)).collect();
            let rows = snapshot.get_all::<RoomById>(&keys).await?;
            let rows = missing.into_iter().zip(rows);
            found.extend(rows.filter_map(|(id, row)| Some((id, row?.room))));
        }
        Ok(found)
    }
}
