//! Requests of the live sliding-sync dialect (MSC4186 as clients spoke it before it was merged).

use std::collections::BTreeMap;
use std::sync::Arc;

use myelin_sync_core::config::{RequiredState, RoomConfig};
use myelin_sync_core::rooms::ListFilter;
use myelin_sync_core::window::{
    InvalidRequest, ListRequest, Lists, MAX_STATE_RULES, MAX_SUBSCRIPTIONS, MAX_TIMELINE, WindowRequest,
};
use ruma::{OwnedRoomId, UserId};
use serde::{Deserialize, Serialize};

use crate::sliding::merged::Form;
use crate::sliding::wishes::Wishes;

/// The body of a request. What is not known is ignored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SlidingRequest {
    /// The connection, of several that a device may have.
    pub conn_id: Option<String>,
    /// Comes back in the answer.
    pub txn_id: Option<String>,
    /// Lists by name.
    pub lists: BTreeMap<String, ListBody>,
    /// Rooms wanted whatever lists they are in.
    pub room_subscriptions: BTreeMap<OwnedRoomId, RoomBody>,
    /// Extensions.
    pub extensions: Extensions,
    /// The form of the request, and of its answer.
    #[serde(skip)]
    pub(crate) form: Form,
}

/// What is wanted of a room.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RoomBody {
    /// Pairs of type and state key.
    pub required_state: Vec<(String, String)>,
    /// How many events.
    pub timeline_limit: u64,
    /// The state, where it was asked for in the merged form.
    #[serde(skip)]
    pub(crate) chosen: Option<RequiredState>,
}

/// A list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "FlatList")]
pub struct ListBody {
    /// Inclusive ranges.
    pub ranges: Vec<(u64, u64)>,
    /// The merged form's single range.
    pub range: Option<(u64, u64)>,
    /// All rooms, whatever the ranges.
    pub slow_get_all_rooms: bool,
    /// What is wanted of its rooms.
    pub room: RoomBody,
    /// Which rooms it has.
    pub filters: Option<Filters>,
}

/// A list as it is written. (Serde's `flatten` would read all of it twice.)
#[derive(Default, Deserialize)]
#[serde(default)]
struct FlatList {
    ranges: Vec<(u64, u64)>,
    range: Option<(u64, u64)>,
    slow_get_all_rooms: bool,
    required_state: Vec<(String, String)>,
    timeline_limit: u64,
    filters: Option<Filters>,
}

impl From<FlatList> for ListBody {
    fn from(list: FlatList) -> Self {
        let FlatList { ranges, range, slow_get_all_rooms, required_state, timeline_limit, filters } = list;
        let room = RoomBody { required_state, timeline_limit, chosen: None };
        Self { ranges, range, slow_get_all_rooms, room, filters }
    }
}

/// Criteria of a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the spec's names")]
pub struct Filters {
    pub is_dm: Option<bool>,
    pub is_encrypted: Option<bool>,
    #[serde(alias = "is_invited")]
    pub is_invite: Option<bool>,
    pub room_types: Option<Vec<Option<String>>>,
    pub not_room_types: Option<Vec<Option<String>>>,
    pub tags: Option<Vec<String>>,
    pub not_tags: Option<Vec<String>>,
    pub spaces: Option<Vec<OwnedRoomId>>,
    pub room_name_like: Option<String>,
}

/// What a request says of extensions. What it leaves out stays as it was on the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Extensions {
    /// Messages between devices.
    pub to_device: Paged,
    /// Sticky events (MSC4480), by the name that they are to have.
    pub sticky_events: Paged,
    /// The same by the name that clients use until the MSC is accepted.
    #[serde(rename = "org.matrix.msc4354.sticky_events")]
    pub unstable_sticky_events: Paged,
    /// Device lists and key counts.
    pub e2ee: Scope,
    /// Account data.
    pub account_data: Scope,
    /// Receipts.
    pub receipts: Scope,
    /// Typing.
    pub typing: Scope,
    /// Thread subscriptions.
    #[serde(rename = "io.element.msc4308.thread_subscriptions")]
    pub threads: Threads,
    /// Profiles.
    #[serde(rename = "org.matrix.msc4262.profiles")]
    pub profiles: Profiles,
}

/// An extension of which the client says itself how far it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the spec's names")]
pub struct Paged {
    pub enabled: Option<bool>,
    pub limit: Option<u64>,
    pub since: Option<String>,
}

/// The profiles extension (MSC4262).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Profiles {
    /// Whether it is wanted, and for which rooms.
    #[serde(flatten)]
    pub scope: Scope,
    /// Which fields; all if absent.
    pub fields: Option<Vec<String>>,
}

/// The thread subscriptions extension (MSC4308).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the spec's names")]
pub struct Threads {
    pub enabled: Option<bool>,
    pub limit: Option<u64>,
}

/// Whether an extension is wanted, and for which rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Scope {
    /// Whether it is wanted.
    pub enabled: Option<bool>,
    /// The lists for whose rooms it is wanted; all if absent.
    pub lists: Option<Vec<String>>,
    /// The subscribed rooms for which it is wanted; all if absent, or where `*` is among them.
    pub rooms: Option<Vec<String>>,
}

impl Scope {
    /// Whether the extension is on.
    pub(crate) fn is_on(&self) -> bool {
        self.enabled == Some(true)
    }

    fn absorb(&mut self, said: Self) {
        self.enabled = said.enabled.or(self.enabled);
        self.lists = said.lists.or(self.lists.take());
        self.rooms = said.rooms.or(self.rooms.take());
    }
}

impl Paged {
    /// Whether the extension is on.
    pub(crate) fn is_on(&self) -> bool {
        self.enabled == Some(true)
    }

    fn absorb(&mut self, said: Self) {
        self.enabled = said.enabled.or(self.enabled);
        self.limit = said.limit.or(self.limit);
        // Where the client stands is said anew each time, and never remembered for it.
        self.since = said.since;
    }
}

impl Extensions {
    /// Sticky events, by whichever name they are asked for.
    pub(crate) fn sticky(&self) -> Option<&Paged> {
        [&self.sticky_events, &self.unstable_sticky_events].into_iter().find(|sticky| sticky.is_on())
    }

    /// Takes over what a later request says.
    pub(crate) fn absorb(&mut self, said: Self) {
        self.to_device.absorb(said.to_device);
        self.sticky_events.absorb(said.sticky_events);
        self.unstable_sticky_events.absorb(said.unstable_sticky_events);
        self.e2ee.absorb(said.e2ee);
        self.account_data.absorb(said.account_data);
        self.receipts.absorb(said.receipts);
        self.typing.absorb(said.typing);
        self.threads.enabled = said.threads.enabled.or(self.threads.enabled);
        self.threads.limit = said.threads.limit.or(self.threads.limit);
        self.profiles.scope.absorb(said.profiles.scope);
        self.profiles.fields = said.profiles.fields.or(self.profiles.fields.take());
    }
}

impl Extensions {
    /// Whether more than where the client stands is another.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let without = |said: &Self| {
            let mut said = said.clone();
            said.to_device.since = None;
            said.sticky_events.since = None;
            said.unstable_sticky_events.since = None;
            said
        };
        without(self) != without(other)
    }
}

impl RoomBody {
    fn config(&self, user_id: &UserId) -> Result<RoomConfig, InvalidRequest> {
        if self.required_state.len() > MAX_STATE_RULES {
            return Err(InvalidRequest::TooMuchState);
        }
        let pairs = self.required_state.iter().map(|(kind, key)| (kind.as_str(), key.as_str()));
        let limit = u32::try_from(self.timeline_limit).unwrap_or(MAX_TIMELINE).min(MAX_TIMELINE);
        let required_state = match &self.chosen {
            Some(chosen) => chosen.clone(),
            None => RequiredState::parse(pairs, user_id.as_str()),
        };
        Ok(RoomConfig { timeline_limit: limit, required_state })
    }
}

impl ListBody {
    fn ranges(&self) -> Vec<(u64, u64)> {
        if self.slow_get_all_rooms {
            return vec![(0, u64::MAX)];
        }
        self.ranges.iter().chain(&self.range).copied().collect()
    }
}

impl From<Filters> for ListFilter {
    fn from(filters: Filters) -> Self {
        Self {
            is_dm: filters.is_dm,
            is_encrypted: filters.is_encrypted,
            is_invite: filters.is_invite,
            room_types: filters.room_types.unwrap_or_default(),
            not_room_types: filters.not_room_types.unwrap_or_default(),
            tags: filters.tags,
            not_tags: filters.not_tags.unwrap_or_default(),
            // Found later, from the user's rooms.
            named: None,
            within: None,
        }
    }
}

/// What a request is about, as it is kept while its client waits.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) lists: Arc<Lists>,
    pub(crate) subscriptions: Vec<(OwnedRoomId, Arc<RoomConfig>)>,
    /// By list: what of its filter depends on the user's rooms.
    pub(crate) searches: Vec<(String, Search)>,
}

/// A filter whose rooms have to be looked for.
#[derive(Debug)]
pub(crate) enum Search {
    /// Rooms in one of these spaces.
    Within(Vec<OwnedRoomId>),
    /// Rooms whose name is like this.
    Named(String),
}

impl SlidingRequest {
    /// What it is about.
    ///
    /// # Errors
    /// A limit that it breaks.
    pub(crate) fn wanted(&mut self, user_id: &UserId, wishes: &Wishes) -> Result<Wanted, InvalidRequest> {
        let mut wanted = Wanted::default();
        let mut lists = Vec::with_capacity(self.lists.len());
        for (name, list) in std::mem::take(&mut self.lists) {
            let config = wishes.shared(list.room.config(user_id)?);
            let ranges = list.ranges();
            let mut filters = list.filters.unwrap_or_default();
            let searches =
                [filters.spaces.take().map(Search::Within), filters.room_name_like.take().map(Search::Named)];
            wanted.searches.extend(searches.into_iter().flatten().map(|search| (name.clone(), search)));
            lists.push((name, ListRequest { ranges, filter: filters.into(), config }));
        }
        let lists = Arc::new(lists.into_iter().collect());
        let request = WindowRequest { lists, subscriptions: BTreeMap::new() };
        request.check()?;
        wanted.lists = request.lists;
        if self.room_subscriptions.len() > MAX_SUBSCRIPTIONS {
            return Err(InvalidRequest::TooManySubscriptions);
        }
        for (room_id, body) in std::mem::take(&mut self.room_subscriptions) {
            wanted.subscriptions.push((room_id, wishes.shared(body.config(user_id)?)));
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use myelin_sync_core::window::InvalidRequest;
    use ruma::user_id;
    use serde_json::json;

    use super::{Extensions, SlidingRequest};
    use crate::sliding::wishes::Wishes;

    #[test]
    fn the_requests_of_clients_are_understood() {
        let body = json!({
            "conn_id": "room-list", "unknown": 1,
            "lists": { "all_rooms": {
                "ranges": [[0, 19]], "timeline_limit": 1, "filters": { "not_room_types": ["m.space", null] },
                "required_state": [["m.room.name", ""], ["m.room.member", "$LAZY"]],
            } },
            "room_subscriptions": { "!a:x": { "timeline_limit": 20, "required_state": [] } },
            "extensions": { "typing": { "enabled": true }, "to_device": { "enabled": true, "since": null },
                "receipts": { "enabled": true, "rooms": ["*"] }, "org.example.unknown": {} },
        });
        let mut request: SlidingRequest = serde_json::from_value(body).unwrap();
        let window = request.wanted(user_id!("@me:x"), &Wishes::default()).unwrap();
        assert_eq!(window.lists.get("all_rooms").unwrap().config.timeline_limit, 1);
        assert_eq!(
            window.lists.get("all_rooms").unwrap().filter.not_room_types,
            [Some("m.space".to_owned()), None]
        );
        assert!(request.extensions.typing.is_on());
    }

    #[test]
    fn absurd_ranges_are_refused() {
        let body = json!({ "lists": { "a": { "ranges": [[9, 3]], "timeline_limit": 1 } } });
        let mut request: SlidingRequest = serde_json::from_value(body).unwrap();
        let refused = request.wanted(user_id!("@me:x"), &Wishes::default()).map(drop);
        assert_eq!(refused, Err(InvalidRequest::BackwardRange { start: 9, end: 3 }));
    }

    #[test]
    fn extensions_stay_as_they_were_until_said_otherwise() {
        let said = |json| serde_json::from_value::<Extensions>(json).unwrap();
        let mut sticky = said(json!({ "typing": { "enabled": true, "lists": ["a"] } }));
        sticky.absorb(said(json!({ "receipts": { "enabled": true } })));
        assert!(sticky.typing.is_on() && sticky.receipts.is_on());
        sticky.absorb(said(json!({ "typing": { "enabled": false } })));
        assert!(!sticky.typing.is_on());
        assert_eq!(sticky.typing.lists.as_deref(), Some(&["a".to_owned()][..]));
    }
}
