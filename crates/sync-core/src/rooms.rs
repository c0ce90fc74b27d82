//! A user's rooms, in the order that lists show them.

mod base;
mod filter;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use self::base::Base;
pub use self::filter::ListFilter;

/// A room, by whatever number the caller knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(pub i64);

/// How the user stands to a room, as far as lists care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// In the room.
    Joined,
    /// Asked in.
    Invited,
    /// Waits to be let in.
    Knocking,
    /// Was in the room and was kicked or banned.
    Removed,
    /// Left by themselves, or an invite or knock came to nothing. Not in lists: told only to whom knew the room.
    Left,
}

impl Standing {
    /// Whether lists show such rooms.
    #[must_use]
    pub const fn is_listed(self) -> bool {
        !matches!(self, Self::Left)
    }

    /// Whether the user is shown stripped state only.
    #[must_use]
    pub const fn is_stripped(self) -> bool {
        matches!(self, Self::Invited | Self::Knocking)
    }
}

/// What lists need to know of a room. Users are in thousands of rooms, so it is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomEntry {
    /// How the user stands to it.
    pub standing: Standing,
    /// The position of the newest thing in it that the user may see: what lists are sorted by.
    pub changed: i64,
    /// The position at which the user's unread count last changed other than by something new: they have read it,
    /// perhaps on another device. It does not sort lists.
    pub read_at: i64,
    /// The position at which the user's own membership was last set.
    pub moved_at: i64,
    /// What tells one stay in the room from the next: the order of the event by which the user last joined.
    pub joined_at: Option<i64>,
    /// `type` of its create event.
    pub room_type: Option<Arc<str>>,
    /// Whether messages in it are encrypted.
    pub is_encrypted: bool,
    /// Whether the user calls it a direct chat.
    pub is_dm: bool,
    /// Whether who asked them in called it one: that counts until they have answered.
    pub asked_as_dm: bool,
    /// The tags the user gave it.
    pub tags: Tags,
    /// No event in it is sticky after this time, in milliseconds since 1970 (MSC4354).
    pub sticky_until: Option<i64>,
}

/// The tags that a user gave a room; most rooms have none.
pub type Tags = Option<Arc<[Box<str>]>>;

/// A list is packed anew when more of its rooms than this, and than a share of all, have changed since.
const FEWEST_CHANGES: usize = 64;
/// That share: one of so many.
const SHARE_OF_CHANGES: usize = 8;

/// A user's rooms by recency.
///
/// Users are in thousands of rooms of which few change, so most of the list is packed: what was stored is used as it was
/// read, without looking at each room. What changed since lies beside it.
#[derive(Clone, Debug, Default)]
pub struct RoomList {
    packed: Base,
    /// What changed since: a room as it is now, or that it is gone.
    changes: FxHashMap<RoomKey, Option<RoomEntry>>,
    /// Those that changed and are not gone, newest first.
    by_change: BTreeSet<(Reverse<i64>, RoomKey)>,
    len: usize,
    listed: usize,
}

impl FromIterator<(RoomKey, RoomEntry)> for RoomList {
    /// A list of these rooms. Of two about one room the later counts.
    fn from_iter<I: IntoIterator<Item = (RoomKey, RoomEntry)>>(rooms: I) -> Self {
        let rooms: FxHashMap<RoomKey, RoomEntry> = rooms.into_iter().collect();
        Self::packed(rooms.into_iter().collect())
    }
}

impl RoomList {
    /// A list of rooms of which each is there once.
    fn packed(mut rooms: Vec<(RoomKey, RoomEntry)>) -> Self {
        rooms.sort_unstable_by_key(|(room, entry)| (Reverse(entry.changed), *room));
        Self::of(Base::pack(&rooms))
    }

    fn of(packed: Base) -> Self {
        let (len, listed) = (packed.len(), packed.listed());
        Self { packed, len, listed, ..Self::default() }
    }

    /// The list that [`RoomList::pack`] made these from; `None` where they are of another layout.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Option<Self> {
        Base::read(bytes).map(Self::of)
    }

    /// The list in one piece, about sixty bytes a room, to be stored.
    pub fn pack(&mut self) -> Bytes {
        if !self.changes.is_empty() {
            let rooms: Vec<_> = self.all().collect();
            *self = Self::of(Base::pack(&rooms));
        }
        self.packed.bytes()
    }

    /// Adds a room, or replaces what was known of it.
    pub fn put(&mut self, room: RoomKey, entry: RoomEntry) {
        let known = self.entry(room);
        self.replace(room, known.as_ref(), Some(entry));
    }

    /// Forgets a room.
    pub fn remove(&mut self, room: RoomKey) -> Option<RoomEntry> {
        let known = self.entry(room)?;
        self.replace(room, Some(&known), None);
        Some(known)
    }

    /// Changes what is known of a room, if it is here.
    pub fn update(&mut self, room: RoomKey, change: impl FnOnce(&mut RoomEntry)) {
        let Some(known) = self.entry(room) else { return };
        let mut entry = known.clone();
        change(&mut entry);
        if entry != known {
            self.replace(room, Some(&known), Some(entry));
        }
    }

    /// Puts another entry, or none, in the place of what is known of the room.
    fn replace(&mut self, room: RoomKey, known: Option<&RoomEntry>, entry: Option<RoomEntry>) {
        let order = |entry: &RoomEntry| (Reverse(entry.changed), room);
        let is_listed = |entry: &RoomEntry| entry.standing.is_listed();
        if let Some(known) = known {
            self.by_change.remove(&order(known));
        }
        self.by_change.extend(entry.as_ref().map(order));
        self.len += usize::from(entry.is_some());
        self.len -= usize::from(known.is_some());
        // What was stored may be damaged, and its count with it.
        self.listed += usize::from(entry.as_ref().is_some_and(is_listed));
        self.listed = self.listed.saturating_sub(usize::from(known.is_some_and(is_listed)));
        self.changes.insert(room, entry);
        if self.changes.len() > FEWEST_CHANGES.max(self.packed.len() / SHARE_OF_CHANGES) {
            self.pack();
        }
    }

    /// Changes what is known of every room, but not when it changed nor how the user stands to it.
    pub fn update_all(&mut self, mut change: impl FnMut(RoomKey, &mut RoomEntry)) {
        let changed = self.all().filter_map(|(room, known)| {
            let mut entry = known.clone();
            change(room, &mut entry);
            (entry.changed, entry.standing) = (known.changed, known.standing);
            (entry != known).then_some((room, known, entry))
        });
        let changed: Vec<_> = changed.collect();
        for (room, known, entry) in changed {
            self.replace(room, Some(&known), Some(entry));
        }
    }

    /// Every room, in no order.
    pub fn unordered(&self) -> impl Iterator<Item = (RoomKey, RoomEntry)> {
        let changed = self.changes.iter().filter_map(|(room, entry)| Some((*room, entry.clone()?)));
        self.unchanged().chain(changed)
    }

    /// What is known of a room.
    #[must_use]
    pub fn entry(&self, room: RoomKey) -> Option<RoomEntry> {
        match self.changes.get(&room) {
            Some(changed) => changed.clone(),
            None => self.packed.entry(room),
        }
    }

    /// Every room, newest first, those that lists don't show included.
    pub fn all(&self) -> impl Iterator<Item = (RoomKey, RoomEntry)> {
        let entry = |(_, room): &(Reverse<i64>, RoomKey)| Some((*room, self.changes.get(room)?.clone()?));
        let mut changed = self.by_change.iter().filter_map(entry).peekable();
        let mut unchanged = self.unchanged().peekable();
        std::iter::from_fn(move || {
            let order = |(room, entry): &(RoomKey, RoomEntry)| (Reverse(entry.changed), *room);
            match (changed.peek(), unchanged.peek()) {
                (Some(one), Some(other)) if order(one) > order(other) => unchanged.next(),
                (Some(_), _) => changed.next(),
                (None, _) => unchanged.next(),
            }
        })
    }

    /// Those of the packed rooms that have not changed since, newest first.
    fn unchanged(&self) -> impl Iterator<Item = (RoomKey, RoomEntry)> {
        self.packed.all().filter(|(room, _)| self.changes.is_empty() || !self.changes.contains_key(room))
    }

    /// Rooms that lists show, newest first.
    pub fn listed(&self) -> impl Iterator<Item = (RoomKey, RoomEntry)> {
        self.all().filter(|(_, entry)| entry.standing.is_listed())
    }

    /// Rooms in which something happened after a position, newest first. Costs what it yields.
    pub fn changed_after(&self, position: i64) -> impl Iterator<Item = (RoomKey, RoomEntry)> {
        self.all().take_while(move |(_, entry)| entry.changed > position)
    }

    /// How many rooms lists show.
    #[must_use]
    pub fn listed_count(&self) -> usize {
        self.listed
    }

    /// How many rooms it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests;
