//! A user's rooms, in the order that lists show them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A room, by whatever number the caller knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(pub i64);

/// How the user stands to a room, as far as lists care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
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

/// What lists need to know of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomEntry {
    /// How the user stands to it.
    pub standing: Standing,
    /// The position of the newest thing in it that the user may see: what lists are sorted by.
    pub changed: i64,
    /// The position at which the user's unread count last changed other than by something new: they have read it,
    /// perhaps on another device. It does not sort lists.
    pub read_at: i64,
    /// What tells one stay in the room from the next: the order of the event by which the user last joined.
    pub joined_at: Option<i64>,
    /// `type` of its create event.
    pub room_type: Option<Arc<str>>,
    /// Whether messages in it are encrypted.
    pub is_encrypted: bool,
    /// Whether the user calls it a direct chat.
    pub is_dm: bool,
    /// The tags the user gave it.
    pub tags: Arc<[Box<str>]>,
    /// Its name, for searches.
    pub name: Option<Arc<str>>,
}

/// A user's rooms by recency.
#[derive(Clone, Debug, Default)]
pub struct RoomList {
    rooms: HashMap<RoomKey, RoomEntry>,
    /// Newest first.
    by_change: BTreeSet<(Reverse<i64>, RoomKey)>,
    listed: usize,
}

impl RoomList {
    /// Adds a room, or replaces what was known of it.
    pub fn put(&mut self, room: RoomKey, entry: RoomEntry) {
        self.remove(room);
        self.by_change.insert((Reverse(entry.changed), room));
        self.listed += usize::from(entry.standing.is_listed());
        self.rooms.insert(room, entry);
    }

    /// Forgets a room.
    pub fn remove(&mut self, room: RoomKey) -> Option<RoomEntry> {
        let entry = self.rooms.remove(&room)?;
        self.by_change.remove(&(Reverse(entry.changed), room));
        self.listed -= usize::from(entry.standing.is_listed());
        Some(entry)
    }

    /// Changes what is known of a room, if it is here.
    pub fn update(&mut self, room: RoomKey, change: impl FnOnce(&mut RoomEntry)) {
        if let Some(mut entry) = self.remove(room) {
            change(&mut entry);
            self.put(room, entry);
        }
    }

    /// What is known of a room.
    #[must_use]
    pub fn entry(&self, room: RoomKey) -> Option<&RoomEntry> {
        self.rooms.get(&room)
    }

    /// Every room, newest first, those that lists don't show included.
    pub fn all(&self) -> impl Iterator<Item = (RoomKey, &RoomEntry)> {
        self.by_change.iter().filter_map(|(_, room)| Some((*room, self.rooms.get(room)?)))
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
    /// Rooms whose name contains this, in any case.
    pub room_name_like: Option<String>,
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
        let has_tag =
            |tags: &[String]| entry.tags.iter().any(|tag| tags.iter().any(|asked| **asked == **tag));
        let is_named = |part: &str| {
            entry.name.as_ref().is_some_and(|name| name.to_lowercase().contains(&part.to_lowercase()))
        };
        agrees(self.is_dm, entry.is_dm)
            && agrees(self.is_encrypted, entry.is_encrypted)
            && agrees(self.is_invite, entry.standing == Standing::Invited)
            && (self.room_types.is_empty() || is_type(&self.room_types))
            && !is_type(&self.not_room_types)
            && self.tags.as_deref().is_none_or(has_tag)
            && !has_tag(&self.not_tags)
            && self.room_name_like.as_deref().is_none_or(is_named)
            && self.within.as_ref().is_none_or(|rooms| rooms.contains(&room))
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
            joined_at: Some(1),
            room_type: None,
            is_encrypted: false,
            is_dm: false,
            tags: Vec::new().into(),
            name: None,
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
    fn a_filter_wants_every_criterion_and_exclusion_is_stronger() {
        let room = RoomEntry {
            room_type: Some("m.space".into()),
            is_dm: true,
            tags: vec!["m.favourite".into()].into(),
            name: Some("Den of Lions".into()),
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
        assert!(check(ListFilter { room_name_like: Some("lion".to_owned()), ..Default::default() }));
        assert!(check(ListFilter { tags: Some(vec!["m.favourite".to_owned()]), ..Default::default() }));
        assert!(!check(ListFilter { not_tags: vec!["m.favourite".to_owned()], ..Default::default() }));
        assert!(!check(ListFilter { within: Some([RoomKey(2)].into()), ..Default::default() }));
    }
}
