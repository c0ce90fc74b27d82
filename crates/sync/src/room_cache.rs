//! What is known of rooms, whoever looks at them: read once for all the users that a commit wakes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Room, RoomById, RoomHead, RoomSummary};
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::{OwnedRoomId, RoomId};
use rustc_hash::FxHashMap;

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

/// Rooms as they were at a position. They are as good as read as long as nothing was committed to them since.
pub(crate) struct RoomCache {
    notifier: Arc<Notifier>,
    known: Mutex<Known>,
    uses: AtomicU64,
}

#[derive(Default)]
struct Known {
    rooms: FxHashMap<RoomNid, Entry>,
    ids: std::collections::HashMap<OwnedRoomId, RoomNid>,
}

struct Entry {
    facts: Arc<RoomFacts>,
    as_of: i64,
    used: u64,
}

impl RoomCache {
    pub(crate) fn new(notifier: Arc<Notifier>) -> Self {
        Self { notifier, known: Mutex::default(), uses: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rooms as of the snapshot. Those that are gone are left out.
    pub(crate) async fn read(
        &self,
        snapshot: &dyn Snapshot,
        rooms: &[RoomNid],
    ) -> Result<FxHashMap<RoomNid, Arc<RoomFacts>>, ReadError> {
        let position = snapshot.position().get();
        let (mut found, missing) = self.cached(position, rooms);
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

    fn cached(&self, position: i64, rooms: &[RoomNid]) -> (FxHashMap<RoomNid, Arc<RoomFacts>>, Vec<RoomNid>) {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut found = FxHashMap::default();
        found.reserve(rooms.len());
        let mut spans = Vec::new();
        {
            let mut known = self.lock();
            for room in rooms {
                if let Some(entry) = known.rooms.get_mut(room) {
                    entry.used = now;
                    spans.push((*room, entry.as_of.min(position), entry.as_of.max(position)));
                    found.insert(*room, Arc::clone(&entry.facts));
                }
            }
        }
        for room in self.notifier.not_quiet(&spans) {
            found.remove(&room);
        }
        let missing = rooms.iter().copied().filter(|room| !found.contains_key(room)).collect();
        (found, missing)
    }

    /// Keeps what was read, but for what would push everything else out.
    fn keep(&self, position: i64, read: &[(RoomNid, Arc<RoomFacts>)]) {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut known = self.lock();
        for (room, facts) in read.iter().take(MOST / 2) {
            if known.rooms.get(room).is_some_and(|entry| entry.as_of > position) {
                continue;
            }
            known.ids.insert(facts.room_id.clone(), *room);
            known.rooms.insert(*room, Entry { facts: Arc::clone(facts), as_of: position, used: now });
        }
        if known.rooms.len() > MOST {
            known.drop_unused();
        }
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
            let known = self.lock();
            for id in ids {
                match known.ids.get(id) {
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

impl Known {
    /// Drops the longer unused half.
    fn drop_unused(&mut self) {
        let mut uses: Vec<u64> = self.rooms.values().map(|entry| entry.used).collect();
        let middle = uses.len() / 2;
        let (_, middle, _) = uses.select_nth_unstable(middle);
        let middle = *middle;
        self.rooms.retain(|_, entry| entry.used > middle);
        let rooms = &self.rooms;
        self.ids.retain(|_, room| rooms.contains_key(room));
    }
}
