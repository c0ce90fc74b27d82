//! The users whose rooms are in memory.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use myelin_model::{Pos, RoomNid};
use myelin_store::{CommitError, DeferredSnapshot, Engine, ReadError, Snapshot};
use ruma::{OwnedUserId, UserId};
use tokio::sync::{MutexGuard, Semaphore, SemaphorePermit, watch};

use crate::notifier::Notifier;
use crate::recent::Recents;
use crate::room_cache::RoomCache;
use crate::service::Flush;
use crate::stored_rooms::is_worth_storing;
use crate::user_rooms::{Source, UserRooms};

/// The most users in memory, and the most rooms of all of them. Users who wait are kept whatever they cost.
const MOST_USERS: usize = 8192;
const MOST_ROOMS: usize = 200_000;

/// The most answers of one user that are made at the same time. A user with hundreds of requests waiting would else take all
/// the store's readers from everybody else when something happens.
const MOST_AT_ONCE: usize = 4;

pub(crate) struct Users {
    slots: Mutex<HashMap<OwnedUserId, Arc<Slot>>>,
    notifier: Arc<Notifier>,
    pub(crate) cache: RoomCache,
    pub(crate) recents: Recents,
    uses: AtomicU64,
    newest: watch::Receiver<Pos>,
}

/// What a request does where there is nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// It waits for news.
    Waits,
    /// It says so.
    Answers,
}

/// What a request reads from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View {
    /// What is known in memory of the newest position, which must not be before this one, and the store only for what is
    /// not. A read may fail because the store has moved on ([`ReadError::Moved`]).
    Known(i64),
    /// The store.
    Store,
}

/// One user's rooms. Whoever holds the lock sees them as of one snapshot.
pub(crate) struct Slot {
    rooms: tokio::sync::Mutex<UserRooms>,
    places: Semaphore,
    used: AtomicU64,
    size: AtomicUsize,
}

/// What a request reads from: a snapshot, and the user's rooms as of it.
pub(crate) struct Reading<'s> {
    pub(crate) snapshot: Box<dyn Snapshot>,
    pub(crate) rooms: MutexGuard<'s, UserRooms>,
    /// The user came into rooms since the last reading, or is watched only now: commits may have woken nobody.
    pub(crate) came: bool,
}

impl Slot {
    /// A place among the user's answers that are made at the same time: to be held while one is.
    pub(crate) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.places.acquire().await.ok()
    }
}

impl Users {
    pub(crate) fn new(notifier: Arc<Notifier>, engine: &dyn Engine) -> Self {
        let cache = RoomCache::new(Arc::clone(&notifier));
        let recents = Recents::new(Arc::clone(&notifier));
        let newest = engine.positions();
        Self { slots: Mutex::default(), notifier, cache, recents, uses: AtomicU64::new(0), newest }
    }

    /// Whether the user has a place in memory.
    pub(crate) fn has(&self, user_id: &UserId) -> bool {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).contains_key(user_id)
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
            places: Semaphore::new(MOST_AT_ONCE),
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
                && rooms.is_watched()
            {
                self.notifier.interest(&user, &[], &rooms.interests());
            }
        }
        self.notifier.sweep(|user| <&UserId>::try_from(user).is_ok_and(|user| slots.contains_key(user)));
    }

    /// A snapshot, and the user's rooms brought up to it. Where the request waits for news, commits wake the user from then on.
    pub(crate) async fn read<'s>(
        &self,
        engine: &Arc<dyn Engine>,
        user_id: &UserId,
        slot: &'s Slot,
        view: View,
        quiet: Quiet,
    ) -> Result<Reading<'s>, ReadError> {
        // The lock comes first, so that no other request folds the rooms beyond this snapshot.
        let mut rooms = slot.rooms.lock().await;
        let known = match view {
            View::Known(since) => self.known_position(since.max(rooms.folded())),
            View::Store => None,
        };
        let snapshot: Box<dyn Snapshot> = match known {
            Some(position) => Box::new(DeferredSnapshot::new(Arc::clone(engine), position)),
            None => engine.snapshot().await?,
        };
        let source = Source { snapshot: &*snapshot, notifier: &self.notifier, cache: &self.cache };
        let moved = rooms.fold(source).await?;
        slot.size.store(rooms.list.len(), Ordering::Relaxed);
        let mut came = !moved.came.is_empty();
        if rooms.is_watched() {
            self.notifier.interest(user_id, &[], &moved.went);
            self.notifier.interest(user_id, &moved.came, &[]);
        } else if quiet == Quiet::Waits {
            rooms.watch(&self.notifier);
            came = true;
        }
        Ok(Reading { snapshot, rooms, came })
    }

    /// The rooms that the user is in.
    pub(crate) async fn joined(
        &self,
        engine: &Arc<dyn Engine>,
        user_id: &UserId,
    ) -> Result<Arc<HashSet<RoomNid>>, ReadError> {
        let slot = self.slot(user_id);
        let reading = self.read(engine, user_id, &slot, View::Store, Quiet::Answers).await?;
        Ok(reading.rooms.joined())
    }

    /// The newest position, if it is not before this one and the notifier knows of everything up to it.
    fn known_position(&self, since: i64) -> Option<Pos> {
        let newest = *self.newest.borrow();
        (newest.get() >= since && self.notifier.knows(newest.get())).then_some(newest)
    }

    /// Stores copies of long lists. Answers how many it wrote.
    pub(crate) async fn store(&self, engine: &dyn Engine, flush: Flush) -> Result<usize, CommitError> {
        let slots: Vec<Arc<Slot>> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let long = |slot: &&Arc<Slot>| is_worth_storing(slot.size.load(Ordering::Relaxed));
            slots.values().filter(long).cloned().collect()
        };
        let mut stored = 0;
        for slot in slots {
            // One that is busy is stored next time.
            if let Ok(mut rooms) = slot.rooms.try_lock() {
                stored += usize::from(rooms.store(engine, flush).await?);
            }
        }
        Ok(stored)
    }
}
