//! Which rooms a request is about: lists of ranges over the user's rooms, and rooms asked for by name.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::config::RoomConfig;
use crate::rooms::{ListFilter, RoomEntry, RoomKey, RoomList, Standing};

/// The most lists of one request (MSC4186).
pub const MAX_LISTS: usize = 100;
/// The most room subscriptions of one request. The live dialect names no limit; clients subscribe to what is on screen.
pub const MAX_SUBSCRIPTIONS: usize = 1000;
/// The most ranges of one list.
pub const MAX_RANGES: usize = 100;
/// The longest timeline of one room; more is asked for by pagination.
pub const MAX_TIMELINE: u32 = 1000;
/// The most pairs of `required_state` in one list or subscription.
pub const MAX_STATE_RULES: usize = 1000;

/// One list of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Inclusive ranges of indexes into the filtered rooms.
    pub ranges: Vec<(u64, u64)>,
    /// Which rooms the list has.
    pub filter: ListFilter,
    /// What is wanted of rooms within the ranges.
    pub config: Arc<RoomConfig>,
}

/// Lists by name, in the order of their names. A request waits with them, so they take no more memory than they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists(Box<[(String, ListRequest)]>);

impl FromIterator<(String, ListRequest)> for Lists {
    /// Of two with one name the later counts.
    fn from_iter<I: IntoIterator<Item = (String, ListRequest)>>(lists: I) -> Self {
        Self(lists.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
    }
}

impl Lists {
    /// The lists with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &ListRequest)> {
        self.0.iter().map(|(name, list)| (name, list))
    }

    /// The list with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&ListRequest> {
        self.iter().find(|(other, _)| *other == name).map(|(_, list)| list)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut ListRequest> {
        self.0.iter_mut().find(|(other, _)| other == name).map(|(_, list)| list)
    }
}

/// The part of a request that says which rooms it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowRequest {
    /// Lists; shared, for they are the same in every answer to a request.
    pub lists: Arc<Lists>,
    /// Rooms asked for whatever lists they are in.
    pub subscriptions: BTreeMap<RoomKey, Arc<RoomConfig>>,
}

/// A request that no client should make: 400 `M_INVALID_PARAM`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// More than [`MAX_LISTS`].
    #[error("a request may have at most {MAX_LISTS} lists")]
    TooManyLists,
    /// More than [`MAX_SUBSCRIPTIONS`].
    #[error("a request may have at most {MAX_SUBSCRIPTIONS} room subscriptions")]
    TooManySubscriptions,
    /// More than [`MAX_RANGES`].
    #[error("a list may have at most {MAX_RANGES} ranges")]
    TooManyRanges,
    /// A range ends before it starts.
    #[error("the range {start} to {end} ends before it starts")]
    BackwardRange {
        /// Its start.
        start: u64,
        /// Its end.
        end: u64,
    },
    /// More than [`MAX_STATE_RULES`].
    #[error("required_state may have at most {MAX_STATE_RULES} entries")]
    TooMuchState,
}

impl WindowRequest {
    /// Holds the request against its limits.
    ///
    /// # Errors
    /// The first limit that it breaks.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        if self.lists.0.len() > MAX_LISTS {
            return Err(InvalidRequest::TooManyLists);
        }
        if self.subscriptions.len() > MAX_SUBSCRIPTIONS {
            return Err(InvalidRequest::TooManySubscriptions);
        }
        for (_, list) in self.lists.iter() {
            if list.ranges.len() > MAX_RANGES {
                return Err(InvalidRequest::TooManyRanges);
            }
            if let Some((start, end)) = list.ranges.iter().find(|(start, end)| start > end) {
                return Err(InvalidRequest::BackwardRange { start: *start, end: *end });
            }
        }
        Ok(())
    }

    /// Whether it is about the room: any list has it, within its ranges or not, or it is asked for by name.
    #[must_use]
    pub fn wants(&self, room: RoomKey, entry: &RoomEntry) -> bool {
        let listed = |(_, list): (&String, &ListRequest)| list.filter.allows(room, entry);
        (entry.standing.is_listed() && self.lists.iter().any(listed))
            || self.subscriptions.contains_key(&room)
    }
}

/// The lists that a room is in, by their number in the order of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListSet(u128);

impl ListSet {
    const fn with(self, list: usize) -> Self {
        Self(self.0 | 1 << (list % 128))
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The one list, where it is one.
    fn only(self) -> Option<usize> {
        self.0.is_power_of_two().then(|| self.0.trailing_zeros() as usize)
    }

    /// Whether the room is in the list with this number.
    #[must_use]
    pub const fn has(self, list: usize) -> bool {
        self.0 & 1 << (list % 128) != 0
    }
}

/// A room that a request is about.
#[derive(Clone, Debug)]
pub struct WantedRoom {
    /// The room.
    pub room: RoomKey,
    /// What is known of it.
    pub entry: RoomEntry,
    /// What is wanted of it: everything that any list or subscription wants.
    pub config: Arc<RoomConfig>,
    /// The lists in whose ranges it is.
    pub lists: ListSet,
    /// Whether it was asked for by name.
    pub subscribed: bool,
}

/// The rooms that a request is about.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// How many rooms each of the request's lists has, within its ranges or not.
    pub counts: Vec<usize>,
    /// The rooms, newest first.
    pub rooms: Vec<WantedRoom>,
}

/// Selects the rooms that a request is about.
#[must_use]
pub fn select(rooms: &RoomList, request: &WindowRequest) -> Window {
    let mut found: Vec<Found> = Vec::new();
    let mut counts = Vec::with_capacity(request.lists.0.len());
    for (number, (_, list)) in request.lists.iter().enumerate() {
        let count = walk(rooms, list, |room, entry| {
            let lists = ListSet::default().with(number);
            found.push(Found { room, entry, lists, subscribed: false });
        });
        counts.push(count);
    }
    for room in request.subscriptions.keys() {
        // Only rooms that the user is or was in, or is asked into: of others nothing is shown.
        let may_see = |standing| standing != Standing::Left;
        let entry = rooms.entry(*room);
        if let Some(entry) = entry.filter(|entry| may_see(entry.standing) || entry.joined_at.is_some()) {
            found.push(Found { room: *room, entry, lists: ListSet::default(), subscribed: true });
        }
    }
    // Each list is sorted already. What is found of one room comes to lie together.
    found.sort_by_key(|found| (Reverse(found.entry.changed), found.room));
    found.dedup_by(|later, first| {
        let same = later.room == first.room;
        if same {
            first.lists = first.lists.and(later.lists);
            first.subscribed |= later.subscribed;
        }
        same
    });
    let mut wishes = Wishes { request, of_several: FxHashMap::default() };
    let wanted = |found: Found| {
        let config = wishes.of(&found);
        let Found { room, entry, lists, subscribed } = found;
        WantedRoom { room, entry, config, lists, subscribed }
    };
    Window { counts, rooms: found.into_iter().map(wanted).collect() }
}

/// A room that a list or a subscription is about.
struct Found {
    room: RoomKey,
    entry: RoomEntry,
    lists: ListSet,
    subscribed: bool,
}

/// What is wanted of rooms.
struct Wishes<'r> {
    request: &'r WindowRequest,
    /// Of rooms that are in several lists.
    of_several: FxHashMap<ListSet, Arc<RoomConfig>>,
}

impl Wishes<'_> {
    fn of(&mut self, found: &Found) -> Arc<RoomConfig> {
        let listed = match found.lists.only() {
            Some(number) => self.request.lists.iter().nth(number).map(|(_, list)| Arc::clone(&list.config)),
            None if found.lists == ListSet::default() => None,
            None => {
                let merged = || merge(&self.request.lists, found.lists);
                Some(Arc::clone(self.of_several.entry(found.lists).or_insert_with(merged)))
            }
        };
        let subscription = self.request.subscriptions.get(&found.room).filter(|_| found.subscribed);
        match (listed, subscription) {
            (Some(listed), Some(wish)) => Arc::new(listed.union(wish)),
            (Some(wish), None) => wish,
            (None, wish) => wish.map(Arc::clone).unwrap_or_default(),
        }
    }
}

/// Calls back for each room in the list's ranges; answers how many rooms the list has.
fn walk(rooms: &RoomList, list: &ListRequest, mut in_range: impl FnMut(RoomKey, RoomEntry)) -> usize {
    let mut sorted = Vec::new();
    let ranges = if list.ranges.is_sorted() {
        &list.ranges
    } else {
        sorted.clone_from(&list.ranges);
        sorted.sort_unstable();
        &sorted
    };
    let end = ranges.iter().map(|(_, end)| *end).max();
    let mut ranges = ranges.iter().copied().peekable();
    let mut count: u64 = 0;
    for (room, entry) in rooms.listed() {
        if list.filter.is_open() && end.is_none_or(|end| count > end) {
            return rooms.listed_count();
        }
        if !list.filter.allows(room, &entry) {
            continue;
        }
        while ranges.next_if(|(_, end)| *end < count).is_some() {}
        if ranges.peek().is_some_and(|(start, _)| *start <= count) {
            in_range(room, entry);
        }
        count += 1;
    }
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn merge(lists: &Lists, chosen: ListSet) -> Arc<RoomConfig> {
    let mut merged: Option<Arc<RoomConfig>> = None;
    for (_, (_, ListRequest { config, .. })) in
        lists.iter().enumerate().filter(|(number, _)| chosen.has(*number))
    {
        merged = Some(match merged {
            None => Arc::clone(config),
            Some(merged) if merged == *config => merged,
            Some(merged) => Arc::new(merged.union(config)),
        });
    }
    merged.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{InvalidRequest, ListRequest, Lists, MAX_LISTS, WindowRequest, select};
    use crate::config::{RequiredState, RoomConfig};
    use crate::rooms::{ListFilter, RoomEntry, RoomKey, RoomList, Standing};

    fn rooms() -> RoomList {
        let mut rooms = RoomList::default();
        for n in 0..10 {
            let entry = RoomEntry {
                standing: if n == 9 { Standing::Invited } else { Standing::Joined },
                changed: n,
                read_at: 0,
                moved_at: 0,
                joined_at: Some(1),
                room_type: None,
                is_encrypted: n % 2 == 0,
                is_dm: false,
                asked_as_dm: false,
                tags: None,
                sticky_until: None,
            };
            rooms.put(RoomKey(n), entry);
        }
        rooms
    }

    fn list(ranges: &[(u64, u64)], filter: ListFilter, limit: u32) -> ListRequest {
        let state = RequiredState::parse([("m.room.name", "")], "@me:x");
        ListRequest {
            ranges: ranges.to_vec(),
            filter,
            config: RoomConfig { timeline_limit: limit, required_state: state }.into(),
        }
    }

    fn shared(lists: impl IntoIterator<Item = (String, ListRequest)>) -> Arc<Lists> {
        Arc::new(lists.into_iter().collect())
    }

    #[test]
    fn ranges_index_the_filtered_rooms_and_counts_are_of_the_whole_list() {
        let encrypted = ListFilter { is_encrypted: Some(true), ..ListFilter::default() };
        let lists = [
            ("all".to_owned(), list(&[(0, 1), (8, 20), (0, 0)], ListFilter::default(), 1)),
            ("secret".to_owned(), list(&[(1, 2)], encrypted, 5)),
        ];
        let window = select(&rooms(), &WindowRequest { lists: shared(lists), ..Default::default() });
        assert_eq!(window.counts, [10, 5], "in the order of their names");
        let found: Vec<_> =
            window.rooms.iter().map(|room| (room.room.0, room.config.timeline_limit)).collect();
        assert_eq!(found, [(9, 1), (8, 1), (6, 5), (4, 5), (1, 1), (0, 1)]);
    }

    #[test]
    fn a_subscription_adds_to_what_the_lists_want_and_strangers_rooms_stay_hidden() {
        let lists = [("all".to_owned(), list(&[(0, 0)], ListFilter::default(), 1))];
        let wish = Arc::new(RoomConfig { timeline_limit: 20, required_state: RequiredState::default() });
        let subscriptions =
            [(RoomKey(9), Arc::clone(&wish)), (RoomKey(3), Arc::clone(&wish)), (RoomKey(77), wish)];
        let window =
            select(&rooms(), &WindowRequest { lists: shared(lists), subscriptions: subscriptions.into() });
        let found: Vec<_> =
            window.rooms.iter().map(|room| (room.room.0, room.config.timeline_limit)).collect();
        assert_eq!(found, [(9, 20), (3, 20)]);
        assert!(window.rooms[0].config.required_state.wants("m.room.name", ""));
        assert!(!window.rooms[1].config.required_state.wants("m.room.name", ""));
    }

    #[test]
    fn absurd_requests_are_refused() {
        let bad = [("a".to_owned(), list(&[(5, 4)], ListFilter::default(), 1))];
        let request = WindowRequest { lists: shared(bad), ..Default::default() };
        assert_eq!(request.check(), Err(InvalidRequest::BackwardRange { start: 5, end: 4 }));
        let many = (0..=MAX_LISTS).map(|n| (n.to_string(), ListRequest::default()));
        let request = WindowRequest { lists: shared(many), ..Default::default() };
        assert_eq!(request.check(), Err(InvalidRequest::TooManyLists));
    }
}
