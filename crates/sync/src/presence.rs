//! Presence on its way from `users` to the syncs of those who share a room.
//!
//! A task looks, once for each change, in which rooms the user is whose presence changed; it notes that and wakes those
//! in the same rooms who wait. An answer then needs nothing but this note and its own user's rooms. What the task has
//! not seen yet is not told, so that a token never is ahead of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedUserId, UserId};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::Sync;
use crate::ports::{Presence, PresenceContent};
use crate::user_rooms::Facts;

/// How often presence wakes those who wait, at most.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the first change after a quiet time waits: somebody who comes is about to have their rooms read by their own
/// sync, which this must not hold up.
const SETTLES: Duration = Duration::from_millis(100);
/// How much longer the pause is for each request that was woken, and how long it is at most: in a crowd presence may not
/// crowd out the messages.
const PAUSE_EACH: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How many changes are read at once.
const AT_ONCE: usize = 1024;
/// The most users whose last change is remembered, and the most rooms of all of them.
const MOST_CHANGES: usize = 32_768;
const MOST_ROOMS: usize = 4_000_000;
/// Rooms of one user, and members of one room, that are read.
const MOST: usize = 100_000;
/// The most events in one answer.
const MOST_SHOWN: usize = 10_000;
/// A room's members are cheaper to read than the rooms of its members: a user is in several.
const ROOMS_EACH: i64 = 4;

/// What changed last for whom, and where they were then.
#[derive(Default)]
pub(crate) struct PresenceLog {
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    /// All changes up to this one are noted.
    counter: u64,
    changes: BTreeMap<u64, Change>,
    last: HashMap<OwnedUserId, u64>,
    /// How many rooms are in all changes.
    rooms: usize,
}

#[derive(Clone)]
pub(crate) struct Change {
    pub(crate) user_id: OwnedUserId,
    pub(crate) rooms: Arc<HashSet<RoomNid>>,
}

impl PresenceLog {
    /// Up to which change everything is noted.
    pub(crate) fn counter(&self) -> u64 {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).counter
    }

    /// The users whose presence changed after a count and who were in one of these rooms then, and the user themself.
    pub(crate) fn changed_after(
        &self,
        counter: u64,
        own: &UserId,
        rooms: &HashSet<RoomNid>,
    ) -> Vec<OwnedUserId> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let changes = inner.changes.range(counter.saturating_add(1)..).map(|(_, change)| change);
        let shares =
            |change: &&Change| change.user_id == own || change.rooms.iter().any(|room| rooms.contains(room));
        changes.filter(shares).map(|change| change.user_id.clone()).collect()
    }

    fn note(&self, changes: &[(u64, Change)]) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        for (version, change) in changes {
            inner.counter = inner.counter.max(*version);
            inner.rooms += change.rooms.len();
            let before = inner.last.insert(change.user_id.clone(), *version);
            if let Some(before) = before.and_then(|before| inner.changes.remove(&before)) {
                inner.rooms -= before.rooms.len();
            }
            inner.changes.insert(*version, change.clone());
        }
        while inner.changes.len() > MOST_CHANGES || inner.rooms > MOST_ROOMS {
            let Some((_, oldest)) = inner.changes.pop_first() else { return };
            inner.rooms -= oldest.rooms.len();
            inner.last.remove(&oldest.user_id);
        }
    }
}

/// Follows changes of presence until the server stops.
pub(crate) async fn follow(sync: Arc<Sync>) {
    let Sync { presence, presences: log, notifier, env, .. } = &*sync;
    let mut changes = presence.changes();
    let mut stopping = std::pin::pin!(env.tasks.stopping());
    loop {
        let counter = log.counter();
        tokio::select! {
            changed = changes.wait_for(|version| *version > counter) => if changed.is_err() { return },
            () = &mut stopping => return,
        }
        tokio::select! {
            () = tokio::time::sleep(SETTLES) => {}
            () = &mut stopping => return,
        }
        let mut changed = presence.changed_after(counter);
        changed.truncate(AT_ONCE);
        let pause = match read_rooms(&sync, changed).await {
            Ok(changes) => {
                log.note(&changes);
                let woken = notifier.wake_sharing(changes.iter().map(|(_, change)| change));
                let woken = u32::try_from(woken).unwrap_or(u32::MAX);
                (PAUSE + PAUSE_EACH.saturating_mul(woken)).min(LONGEST_PAUSE)
            }
            Err(error) => {
                tracing::warn!(%error, "the rooms of users could not be read; their presence is told later");
                LONGEST_PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = &mut stopping => return,
        }
    }
}

/// In which rooms these users are. Who is there syncs, as a rule: their list of rooms is in memory. Those of the others are read
/// together.
async fn read_rooms(sync: &Sync, changed: Vec<(u64, OwnedUserId)>) -> Result<Vec<(u64, Change)>, ReadError> {
    let (known, others): (Vec<_>, Vec<_>) =
        changed.into_iter().partition(|(_, user_id)| sync.users.has(user_id));
    let mut changes = Vec::with_capacity(known.len() + others.len());
    for (version, user_id) in known {
        let rooms = sync.users.joined(&sync.engine, &user_id).await?;
        changes.push((version, Change { user_id, rooms }));
    }
    if others.is_empty() {
        return Ok(changes);
    }
    let snapshot = sync.engine.snapshot().await?;
    let scans = others.iter().map(|(_, user_id)| rooms_of(user_id)).collect();
    for ((version, user_id), rows) in others.into_iter().zip(snapshot.scan_all::<Member>(scans).await?) {
        let joined = rows.into_iter().filter(|row| row.membership == Membership::Join);
        let rooms = Arc::new(joined.map(|row| row.room).collect());
        changes.push((version, Change { user_id, rooms }));
    }
    Ok(changes)
}

fn rooms_of(user_id: &OwnedUserId) -> Scan {
    Scan::index::<Member>(Member::BY_USER, (user_id.clone(),), MOST)
}

/// Everybody who is there and shares a room with the user, for a client that knows nothing. Read in the cheaper of two
/// ways: who is in the user's rooms, or in which rooms those are who are there.
pub(crate) async fn present_sharing(
    snapshot: &dyn Snapshot,
    presence: &dyn Presence,
    own: &UserId,
    rooms: &[Facts],
) -> Result<Vec<OwnedUserId>, ReadError> {
    let mut present: HashSet<OwnedUserId> = presence.present().into_iter().collect();
    let themself = present.take(own);
    let members: i64 = rooms.iter().map(|facts| facts.head.joined).sum();
    let others = i64::try_from(present.len()).unwrap_or(i64::MAX).saturating_mul(ROOMS_EACH);
    let scans: Vec<Scan> = if members <= others {
        rooms.iter().map(|facts| Scan::prefix::<Member>((facts.member.room,), MOST)).collect()
    } else {
        present.iter().map(rooms_of).collect()
    };
    let own_rooms: HashSet<RoomNid> = rooms.iter().map(|facts| facts.member.room).collect();
    let mut found: HashSet<OwnedUserId> = HashSet::new();
    for member in snapshot.scan_all::<Member>(scans).await?.into_iter().flatten() {
        let shares = member.membership == Membership::Join && own_rooms.contains(&member.room);
        if shares && present.contains(&member.user_id) {
            found.insert(member.user_id);
        }
    }
    found.extend(themself);
    Ok(found.into_iter().collect())
}

/// The `m.presence` events of these users, in the order of their ids.
pub(crate) fn events(presence: &dyn Presence, mut users: Vec<OwnedUserId>) -> Vec<Box<RawValue>> {
    #[derive(Serialize)]
    struct Form<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        sender: &'a UserId,
        content: PresenceContent,
    }
    users.sort_unstable();
    users.dedup();
    let event = |user_id: OwnedUserId| {
        let content = presence.content(&user_id)?;
        to_raw_value(&Form { kind: PRESENCE, sender: &user_id, content }).ok()
    };
    users.into_iter().filter_map(event).take(MOST_SHOWN).collect()
}

/// The type of presence events.
pub(crate) const PRESENCE: &str = "m.presence";
