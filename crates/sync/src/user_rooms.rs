//! A user's rooms: kept in memory for users who sync, folded forward from what changed.
//!
//! The list says which rooms there are and in which order; what else an answer needs of a room is read for the rooms it
//! shows ([`UserRooms::facts`]). So an account with ten thousand rooms costs little more than one with a hundred.

mod fold;

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use myelin_model::RoomNid;
use myelin_store::schema::notify::{PlainCount, plain_counts};
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::{CommitError, Engine, ReadError, Reader, Snapshot};
use myelin_sync_core::rooms::{RoomEntry, RoomKey, RoomList, Standing};
use myelin_timeline::InviteRules;
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use rustc_hash::FxHashMap;

use crate::notifier::Notifier;
use crate::room_cache::{RoomCache, RoomFacts};
use crate::service::Flush;
use crate::stored_rooms;

/// Own memberships that are kept in memory.
const MOST_MEMBERS: usize = 512;
/// Own counts that are kept in memory.
const MOST_COUNTS: usize = 512;
/// A stored list is written anew when so many of its rooms, or a sixteenth of all, changed.
const CHANGES_WORTH_STORING: usize = 64;

/// What an answer needs to know of a room before it reads anything.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    room: Arc<RoomFacts>,
    /// The user's own membership.
    pub(crate) member: Arc<Member>,
}

impl Deref for Facts {
    type Target = RoomFacts;

    fn deref(&self) -> &RoomFacts {
        &self.room
    }
}

/// The rooms of one user as of a position.
pub(crate) struct UserRooms {
    user_id: OwnedUserId,
    pub(crate) list: RoomList,
    /// Own memberships that were needed lately.
    members: FxHashMap<RoomNid, Arc<Member>>,
    /// Own counts that were needed since something of the user's own was committed; none where one is not plain.
    counts: FxHashMap<RoomNid, Option<PlainCount>>,
    /// The rooms the user is in; shared with answers in the making.
    joined: OnceLock<Arc<HashSet<RoomNid>>>,
    /// Everything up to this position is folded in; 0 before the first fold.
    folded: i64,
    direct: HashSet<OwnedRoomId>,
    invites: InviteRules,
    /// The notifier knows which rooms matter to the user.
    watched: bool,
    /// The position that the stored copy is as of, and how many rooms changed since.
    stored: (i64, usize),
}

/// What is read from while rooms are folded.
#[derive(Clone, Copy)]
pub(crate) struct Source<'s> {
    pub(crate) snapshot: &'s dyn Snapshot,
    pub(crate) notifier: &'s Notifier,
    pub(crate) cache: &'s RoomCache,
}

/// How a fold changed which rooms the user has to do with.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) came: Vec<RoomNid>,
    pub(crate) went: Vec<RoomNid>,
}

impl UserRooms {
    pub(crate) fn new(user_id: &UserId) -> Self {
        Self {
            user_id: user_id.to_owned(),
            list: RoomList::default(),
            members: FxHashMap::default(),
            counts: FxHashMap::default(),
            joined: OnceLock::new(),
            folded: 0,
            direct: HashSet::new(),
            invites: InviteRules::new(user_id),
            watched: false,
            stored: (0, 0),
        }
    }

    /// The rooms the user is in.
    pub(crate) fn joined(&self) -> Arc<HashSet<RoomNid>> {
        let collect = || {
            let joined = self.list.unordered().filter(|(_, entry)| entry.standing == Standing::Joined);
            Arc::new(joined.map(|(room, _)| RoomNid(room.0)).collect())
        };
        Arc::clone(self.joined.get_or_init(collect))
    }

    /// The position up to which everything is folded in; 0 before the first fold.
    pub(crate) fn folded(&self) -> i64 {
        self.folded
    }

    pub(crate) fn entry(&self, room: RoomNid) -> Option<RoomEntry> {
        self.list.entry(RoomKey(room.0))
    }

    /// The rooms whose commits matter to the user.
    pub(crate) fn interests(&self) -> Vec<RoomNid> {
        let interesting = self.list.unordered().filter(|(_, entry)| is_interesting(entry));
        interesting.map(|(room, _)| RoomNid(room.0)).collect()
    }

    /// Whether the notifier knows of the user's rooms.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched
    }

    /// Has the notifier wake the user for their rooms from now on.
    pub(crate) fn watch(&mut self, notifier: &Notifier) {
        notifier.interest(&self.user_id, &self.interests(), &[]);
        self.watched = true;
    }

    /// What an answer needs of these rooms, in their order, as of the snapshot up to which they are folded. Rooms that are gone
    /// are left out.
    pub(crate) async fn facts(
        &mut self,
        snapshot: &dyn Snapshot,
        cache: &RoomCache,
        rooms: &[RoomNid],
    ) -> Result<Vec<(RoomNid, Facts)>, ReadError> {
        let shared = cache.read(snapshot, rooms).await?;
        let missing: Vec<RoomNid> =
            rooms.iter().copied().filter(|room| !self.members.contains_key(room)).collect();
        let mut read: FxHashMap<RoomNid, Arc<Member>> = FxHashMap::default();
        if !missing.is_empty() {
            let keys: Vec<_> = missing.iter().map(|room| (*room, self.user_id.clone())).collect();
            let rows = snapshot.get_all::<Member>(&keys).await?;
            read.extend(rows.into_iter().flatten().map(|row| (row.room, Arc::new(row))));
        }
        let found = rooms.iter().filter_map(|room| {
            let member = read.get(room).or_else(|| self.members.get(room))?;
            Some((*room, Facts { room: Arc::clone(shared.get(room)?), member: Arc::clone(member) }))
        });
        let found = found.collect();
        self.remember(read.into_values());
        Ok(found)
    }

    /// Whether the user ignores this one.
    pub(crate) fn ignores(&self, user_id: &UserId) -> bool {
        self.invites.ignores(user_id) && *user_id != *self.user_id
    }

    /// Of these rooms, where the user's count begins, if it is plain; as of the snapshot up to which they are folded.
    pub(crate) async fn plain_counts(
        &mut self,
        snapshot: &dyn Snapshot,
        rooms: &[RoomNid],
    ) -> Result<Vec<Option<PlainCount>>, ReadError> {
        let missing: Vec<RoomNid> =
            rooms.iter().copied().filter(|room| !self.counts.contains_key(room)).collect();
        if self.counts.len() + missing.len() > MOST_COUNTS {
            self.counts.clear();
            return plain_counts(snapshot, &self.user_id, rooms).await;
        }
        let read = plain_counts(snapshot, &self.user_id, &missing).await?;
        self.counts.extend(missing.into_iter().zip(read));
        Ok(rooms.iter().map(|room| self.counts.get(room).cloned().flatten()).collect())
    }

    fn remember(&mut self, members: impl ExactSizeIterator<Item = Arc<Member>>) {
        if self.members.len() + members.len() > MOST_MEMBERS {
            self.members.clear();
        }
        self.members.extend(members.take(MOST_MEMBERS).map(|member| (member.room, member)));
    }

    /// Brings the rooms up to the snapshot, which must not be older than the one before.
    pub(crate) async fn fold(&mut self, source: Source<'_>) -> Result<Moved, ReadError> {
        let position = source.snapshot.position().get();
        if self.folded == position && position != 0 {
            return Ok(Moved::default());
        }
        // Who is not watched is told of no rooms that come or go: all of them are said when that begins.
        let moved = if self.folded == 0 && !self.restore(source.snapshot).await? {
            self.load(source).await?;
            Moved::default()
        } else {
            self.follow(source).await?
        };
        self.folded = position;
        Ok(moved)
    }

    /// Stores a copy where that will make the next start faster: much has changed since the last copy, or, as the server
    /// stops, anything has. Says whether it did.
    pub(crate) async fn store(&mut self, engine: &dyn Engine, flush: Flush) -> Result<bool, CommitError> {
        let (position, changes) = self.stored;
        let much = changes >= CHANGES_WORTH_STORING.max(self.list.len() / 16);
        let due = position == 0 || much || (flush == Flush::Last && self.folded > position);
        if self.folded == 0 || !due || !stored_rooms::is_worth_storing(self.list.len()) {
            return Ok(false);
        }
        stored_rooms::store(engine, &self.user_id, &mut self.list, self.folded).await?;
        self.stored = (self.folded, 0);
        Ok(true)
    }
}

fn is_interesting(entry: &RoomEntry) -> bool {
    matches!(entry.standing, Standing::Joined | Standing::Invited | Standing::Knocking)
}

/// How the user stands to a room (MSC4186, "Lists": kicks and bans are shown, leaving is not).
pub(crate) fn standing(member: &Member) -> Standing {
    let by_another = member.sender != member.user_id && member.joined_at.is_some() && !member.forgotten;
    match member.membership {
        Membership::Join => Standing::Joined,
        Membership::Invite => Standing::Invited,
        Membership::Knock => Standing::Knocking,
        Membership::Leave | Membership::Ban if by_another => Standing::Removed,
        Membership::Leave | Membership::Ban => Standing::Left,
    }
}

#[cfg(test)]
mod tests;
