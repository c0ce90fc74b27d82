//! A user's rooms, in the order that lists show them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A room, by whatever number the caller knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// For how many rooms there is room at once when a list is read: what it says of its length may be damaged.
const MOST_EXPECTED: usize = 1 << 18;

/// A user's rooms by recency.
#[derive(Clone, Debug, Default)]
pub struct RoomList {
    /// The rooms, close together: a list that was read is walked through in the order in which it lies in memory.
    rooms: Vec<(RoomKey, RoomEntry)>,
    /// Where in `rooms` each is.
    places: FxHashMap<RoomKey, usize>,
    /// The same, newest first.
    by_change: BTreeMap<(Reverse<i64>, RoomKey), usize>,
    listed: usize,
}

impl FromIterator<(RoomKey, RoomEntry)> for RoomList {
    /// A list of these rooms. Of two about one room the later counts.
    fn from_iter<I: IntoIterator<Item = (RoomKey, RoomEntry)>>(rooms: I) -> Self {
        let rooms: FxHashMap<RoomKey, RoomEntry> = rooms.into_iter().collect();
        Self::of_different(rooms.into_iter().collect()).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for RoomList {
    /// A list of pairs of rooms and what is known of them, newest first: into place one by one, for lists are long.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = RoomList;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("rooms")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<RoomList, A::Error> {
                let expected = pairs.size_hint().unwrap_or_default().min(MOST_EXPECTED);
                let mut rooms = Vec::with_capacity(expected);
                while let Some(pair) = pairs.next_element()? {
                    rooms.push(pair);
                }
                RoomList::of_different(rooms).ok_or_else(|| A::Error::custom("a room twice"))
            }
        }
        deserializer.deserialize_seq(Pairs)
    }
}

impl RoomList {
    /// A list of these rooms; `None` where one is there twice.
    fn of_different(rooms: Vec<(RoomKey, RoomEntry)>) -> Option<Self> {
        let mut places = FxHashMap::with_capacity_and_hasher(rooms.len(), FxBuildHasher);
        for (place, (room, _)) in rooms.iter().enumerate() {
            if places.insert(*room, place).is_some() {
                return None;
            }
        }
        let order =
            |(place, (room, entry)): (usize, &(RoomKey, RoomEntry))| ((Reverse(entry.changed), *room), place);
        let by_change = rooms.iter().enumerate().map(order).collect();
        let listed = rooms.iter().filter(|(_, entry)| entry.standing.is_listed()).count();
        Some(Self { rooms, places, by_change, listed })
    }

    /// Adds a room, or replaces what was known of it.
    pub fn put(&mut self, room: RoomKey, entry: RoomEntry) {
        if self.places.contains_key(&room) {
            self.update(room, |known| *known = entry);
            return;
        }
        let place = self.rooms.len();
        self.places.insert(room, place);
        self.by_change.insert((Reverse(entry.changed), room), place);
        self.listed += usize::from(entry.standing.is_listed());
        self.rooms.push((room, entry));
    }

    /// Forgets a room.
    pub fn remove(&mut self, room: RoomKey) -> Option<RoomEntry> {
        let place = self.places.remove(&room)?;
        let (_, entry) = self.rooms.swap_remove(place);
        self.by_change.remove(&(Reverse(entry.changed), room));
        self.listed -= usize::from(entry.standing.is_listed());
        // The last one fills the gap.
        if let Some((moved, other)) = self.rooms.get(place) {
            self.places.insert(*moved, place);
            self.by_change.insert((Reverse(other.changed), *moved), place);
        }
        Some(entry)
    }

    /// Changes what is known of a room, if it is here.
    pub fn update(&mut self, room: RoomKey, change: impl FnOnce(&mut RoomEntry)) {
        let Some(place) = self.places.get(&room).copied() else { return };
        let Some((_, entry)) = self.rooms.get_mut(place) else { return };
        let (changed, listed) = (entry.changed, entry.standing.is_listed());
        change(entry);
        if entry.changed != changed {
            self.by_change.remove(&(Reverse(changed), room));
            self.by_change.insert((Reverse(entry.changed), room), place);
        }
        self.listed = self.listed + usize::from(entry.standing.is_listed()) - usize::from(listed);
    }

    /// Changes what is known of every room, but not when it changed nor how the user stands to it.
    pub fn update_all(&mut self, mut change: impl FnMut(RoomKey, &mut RoomEntry)) {
        for (room, entry) in &mut self.rooms {
            let (changed, standing) = (entry.changed, entry.standing);
            change(*room, entry);
            (entry.changed, entry.standing) = (changed, standing);
        }
    }

    /// Every room, in no order.
    pub fn unordered(&self) -> impl Iterator<Item = (RoomKey, &RoomEntry)> {
        self.rooms.iter().map(|(room, entry)| (*room, entry))
    }

    /// What is known of a room.
    #[must_use]
    pub fn entry(&self, room: RoomKey) -> Option<&RoomEntry> {
        self.rooms.get(*self.places.get(&room)?).map(|(_, entry)| entry)
    }

    /// Every room, newest first, those that lists don't show included.
    pub fn all(&self) -> impl Iterator<Item = (RoomKey, &RoomEntry)> {
        self.by_change.values().filter_map(|place| self.rooms.get(*place).map(|(room, entry)| (*room, entry)))
    }

    /// Rooms that lists show, newest first.
    pub fn listed(&self) -> impl Iterator<Item = (RoomKey, &RoomEntry)> {
        self.all().filter(|(_, entry)| entry.standing.is_listed())
    }

    /// Rooms in which something happened after a position, newest first. Costs what it yields.
    pub fn changed_after(&self, position: i64) -> impl Iterator<Item = (RoomKey, &RoomEntry)> {
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
        self.rooms.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}

/// Which rooms a list shows. Every criterion given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Direct chats only, or all but them.
    pub is_dm: Option<bool>,
    /// Encrypted rooms only, or all but them.
    pub is_encrypted: Option<bool>,
    /// Invites only, or all but them.
    pub is_invite: Option<bool>,
    /// Rooms of these types only (`None` is a room without a type), where not empty.
    pub room_types: Vec<Option<String>>,
    /// No rooms of these types; stronger than `room_types`.
    pub not_room_types: Vec<Option<String>>,
    /// Rooms with one of these tags only, where given.
    pub tags: Option<Vec<String>>,
    /// No rooms with one of these tags.
    pub not_tags: Vec<String>,
    /// These rooms only, where given: those whose name is like the one asked for.
    pub named: Option<BTreeSet<RoomKey>>,
    /// These rooms only, where given: what the spaces asked for contain.
    pub within: Option<BTreeSet<RoomKey>>,
}

impl ListFilter {
    /// Whether every room passes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the room passes.
    #[must_use]
    pub fn allows(&self, room: RoomKey, entry: &RoomEntry) -> bool {
        let agrees = |asked: Option<bool>, is: bool| asked.is_none_or(|asked| asked == is);
        let is_type =
            |types: &[Option<String>]| types.iter().any(|kind| kind.as_deref() == entry.room_type.as_deref());
        let has_tag = |tags: &[String]| {
            entry.tags.iter().flat_map(|own| own.iter()).any(|tag| tags.iter().any(|asked| **asked == **tag))
        };
        let is_among =
            |rooms: &Option<BTreeSet<RoomKey>>| rooms.as_ref().is_none_or(|in_it| in_it.contains(&room));
        agrees(self.is_dm, entry.is_dm)
            && agrees(self.is_encrypted, entry.is_encrypted)
            && agrees(self.is_invite, entry.standing == Standing::Invited)
            && (self.room_types.is_empty() || is_type(&self.room_types))
            && !is_type(&self.not_room_types)
            && self.tags.as_deref().is_none_or(has_tag)
            && !has_tag(&self.not_tags)
            && is_among(&self.named)
            && is_among(&self.within)
    }
}

#[cfg(test)]
mod tests {
    use super::{ListFilter, RoomEntry, RoomKey, RoomList, Standing};

    fn entry(changed: i64) -> RoomEntry {
        RoomEntry {
            standing: Standing::Joined,
            changed,
            read_at: 0,
            moved_at: 0,
            joined_at: Some(1),
            room_type: None,
            is_encrypted: false,
            is_dm: false,
            asked_as_dm: false,
            tags: None,
            sticky_until: None,
        }
    }

    #[test]
    fn rooms_are_listed_newest_first_and_rooms_left_are_not() {
        let mut list = RoomList::default();
        list.put(RoomKey(1), entry(10));
        list.put(RoomKey(2), entry(30));
        list.put(RoomKey(3), RoomEntry { standing: Standing::Left, ..entry(40) });
        list.update(RoomKey(1), |entry| entry.changed = 35);
        let order: Vec<_> = list.listed().map(|(room, _)| room.0).collect();
        assert_eq!(order, [1, 2]);
        assert_eq!(list.listed_count(), 2);
        let changed: Vec<_> = list.changed_after(30).map(|(room, _)| room.0).collect();
        assert_eq!(changed, [3, 1]);
    }

    #[test]
    fn a_list_made_at_once_is_as_one_made_room_by_room() {
        let rooms = [(1, Standing::Joined), (2, Standing::Left), (3, Standing::Invited)];
        let rooms =
            rooms.map(|(room, standing)| (RoomKey(room), RoomEntry { standing, ..entry(room * 7 % 5) }));
        let at_once: RoomList = rooms.iter().cloned().collect();
        let mut one_by_one = RoomList::default();
        for (room, entry) in rooms {
            one_by_one.put(room, entry);
        }
        assert!(at_once.all().eq(one_by_one.all()));
        assert_eq!(at_once.listed_count(), one_by_one.listed_count());
    }

    #[test]
    fn a_filter_wants_every_criterion_and_exclusion_is_stronger() {
        let room = RoomEntry {
            room_type: Some("m.space".into()),
            is_dm: true,
            tags: Some(vec!["m.favourite".into()].into()),
            ..entry(1)
        };
        let space = vec![Some("m.space".to_owned())];
        let check = |filter: ListFilter| filter.allows(RoomKey(1), &room);
        assert!(check(ListFilter::default()));
        assert!(check(ListFilter { is_dm: Some(true), room_types: space.clone(), ..Default::default() }));
        assert!(!check(ListFilter { is_dm: Some(true), is_invite: Some(true), ..Default::default() }));
        assert!(!check(ListFilter {
            room_types: space.clone(),
            not_room_types: space,
            ..Default::default()
        }));
        assert!(!check(ListFilter { room_types: vec![None], ..Default::default() }));
        assert!(check(ListFilter { named: Some([RoomKey(1)].into()), ..Default::default() }));
        assert!(check(ListFilter { tags: Some(vec!["m.favourite".to_owned()]), ..Default::default() }));
        assert!(!check(ListFilter { not_tags: vec!["m.favourite".to_owned()], ..Default::default() }));
        assert!(!check(ListFilter { within: Some([RoomKey(2)].into()), ..Default::default() }));
    }
}
