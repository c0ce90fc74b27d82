//! The users whose rooms are in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use myelin_store::{Engine, ReadError, Snapshot};
use ruma::{OwnedUserId, UserId};
use tokio::sync::MutexGuard;

use crate::notifier::Notifier;
use crate::rooms::UserRooms;

/// The most users in memory, and the most rooms of all of them. Users who wait are kept whatever they cost.
const MOST_USERS: usize = 8192;
const MOST_ROOMS: usize = 200_000;

pub(crate) struct Users {
    slots: Mutex<HashMap<OwnedUserId, Arc<Slot>>>,
    notifier: Arc<Notifier>,
    uses: AtomicU64,
}

/// One user's rooms. Whoever holds the lock sees them as of one snapshot.
pub(crate) struct Slot {
    rooms: tokio::sync::Mutex<UserRooms>,
    used: AtomicU64,
    size: AtomicUsize,
}

/// What a request reads from: a snapshot, and the user's rooms as of it.
pub(crate) struct Reading<'s> {
    pub(crate) snapshot: Box<dyn Snapshot>,
    pub(crate) rooms: MutexGuard<'s, UserRooms>,
    /// The user came into rooms since the last reading: commits to them may have woken nobody.
    pub(crate) came: bool,
}

impl Users {
    pub(crate) fn new(notifier: Arc<Notifier>) -> Self {
        Self { slots: Mutex::default(), notifier, uses: AtomicU64::new(0) }
    }

    /// The user's place in memory.
    pub(crate) fn slot(&self, user_id: &UserId) -> Arc<Slot> {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(user_id) {
            slot.used.store(now, Ordering::Relaxed);
            return Arc::clone(slot);
        }
        let rooms: usize = slots.values().map(|slot| slot.size.load(Ordering::Relaxed)).sum();
        if slots.len() >= MOST_USERS || rooms >= MOST_ROOMS {
            self.evict(&mut slots);
        }
        let slot = Arc::new(Slot {
            rooms: tokio::sync::Mutex::new(UserRooms::new(user_id)),
            used: AtomicU64::new(now),
            size: AtomicUsize::new(0),
        });
        slots.insert(user_id.to_owned(), Arc::clone(&slot));
        slot
    }

    /// Forgets the longer unused half of those whom nobody serves.
    fn evict(&self, slots: &mut HashMap<OwnedUserId, Arc<Slot>>) {
        let idle = |(user, slot): &(&OwnedUserId, &Arc<Slot>)| {
            Arc::strong_count(slot) == 1 && !self.notifier.is_waiting(user)
        };
        let mut idle: Vec<(u64, OwnedUserId)> = slots
            .iter()
            .filter(idle)
            .map(|(user, slot)| (slot.used.load(Ordering::Relaxed), user.clone()))
            .collect();
        idle.sort_unstable();
        let half = idle.len().div_ceil(2);
        for (_, user) in idle.into_iter().take(half) {
            if let Some(slot) = slots.remove(&user)
                && let Ok(rooms) = slot.rooms.try_lock()
            {
                self.notifier.interest(&user, &[], &rooms.interests());
            }
        }
        self.notifier.sweep(|user| <&UserId>::try_from(user).is_ok_and(|user| slots.contains_key(user)));
    }

    /// A snapshot, and the user's rooms brought up to it.
    pub(crate) async fn read<'s>(
        &self,
        engine: &dyn Engine,
        user_id: &UserId,
        slot: &'s Slot,
    ) -> Result<Reading<'s>, ReadError> {
        // The lock comes first, so that no other request folds the rooms beyond this snapshot.
        let mut rooms = slot.rooms.lock().await;
        let snapshot = engine.snapshot().await?;
        let moved = rooms.fold(&*snapshot).await?;
        slot.size.store(rooms.list.len(), Ordering::Relaxed);
        self.notifier.interest(user_id, &[], &moved.went);
        self.notifier.interest(user_id, &moved.came, &[]);
        Ok(Reading { snapshot, rooms, came: !moved.came.is_empty() })
    }
}
