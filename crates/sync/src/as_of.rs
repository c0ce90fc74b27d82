//! What is kept of rooms as it was at a position: as good as read as long as nothing was committed to the room since.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use myelin_model::RoomNid;
use rustc_hash::FxHashMap;

use crate::notifier::Notifier;

/// Something about rooms, whoever looks at it. The longer unused half of it goes where there is too much.
pub(crate) struct AsOf<T> {
    notifier: Arc<Notifier>,
    most: usize,
    known: Mutex<FxHashMap<RoomNid, Entry<T>>>,
    uses: AtomicU64,
}

struct Entry<T> {
    it: Arc<T>,
    as_of: i64,
    used: u64,
}

impl<T> AsOf<T> {
    /// Room for so many rooms.
    pub(crate) fn new(notifier: Arc<Notifier>, most: usize) -> Self {
        Self { notifier, most, known: Mutex::default(), uses: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<RoomNid, Entry<T>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of these rooms as of a position, and the rooms of which it is not.
    pub(crate) fn at(&self, position: i64, rooms: &[RoomNid]) -> (FxHashMap<RoomNid, Arc<T>>, Vec<RoomNid>) {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut found = FxHashMap::default();
        found.reserve(rooms.len());
        // Of those whose entry is of this very position nothing need be asked.
        let mut spans = Vec::new();
        {
            let mut known = self.lock();
            for room in rooms {
                if let Some(entry) = known.get_mut(room) {
                    entry.used = now;
                    if entry.as_of != position {
                        spans.push((*room, entry.as_of.min(position), entry.as_of.max(position)));
                    }
                    found.insert(*room, Arc::clone(&entry.it));
                }
            }
        }
        for room in self.notifier.not_quiet(&spans) {
            found.remove(&room);
        }
        let missing = rooms.iter().copied().filter(|room| !found.contains_key(room)).collect();
        (found, missing)
    }

    /// Keeps what was read, but for what would push everything else out. Says whether anything had to go for it.
    pub(crate) fn keep(&self, position: i64, read: &[(RoomNid, Arc<T>)]) -> bool {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut known = self.lock();
        for (room, it) in read.iter().take(self.most / 2) {
            if known.get(room).is_none_or(|entry| entry.as_of <= position) {
                known.insert(*room, Entry { it: Arc::clone(it), as_of: position, used: now });
            }
        }
        if known.len() <= self.most {
            return false;
        }
        let mut uses: Vec<u64> = known.values().map(|entry| entry.used).collect();
        let middle = uses.len() / 2;
        let (_, middle, _) = uses.select_nth_unstable(middle);
        let middle = *middle;
        known.retain(|_, entry| entry.used > middle);
        true
    }

    /// Whether anything is kept of the room, however old.
    pub(crate) fn has(&self, room: RoomNid) -> bool {
        self.lock().contains_key(&room)
    }
}
