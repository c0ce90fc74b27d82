//! Filters of `/v3/sync` (client-server API, "Filtering"), as far as they bear on a sync.

use std::collections::HashSet;

use myelin_sync_core::event_filter::EventFilter;
use serde::Deserialize;

/// Events of a timeline, unless the client wants more or fewer.
const TIMELINE: usize = 10;
/// The most it may want.
const MOST_TIMELINE: usize = 1000;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct FilterBody {
    account_data: EventBody,
    presence: EventBody,
    room: RoomBody,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RoomBody {
    include_leave: bool,
    rooms: Option<HashSet<String>>,
    not_rooms: HashSet<String>,
    account_data: EventBody,
    ephemeral: EventBody,
    state: EventBody,
    timeline: EventBody,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct EventBody {
    limit: Option<u64>,
    types: Option<Vec<String>>,
    not_types: Vec<String>,
    senders: Option<Vec<String>>,
    not_senders: Vec<String>,
    contains_url: Option<bool>,
    rel_types: Option<Vec<String>>,
    not_rel_types: Option<Vec<String>>,
    #[serde(rename = "org.matrix.msc3874.rel_types")]
    unstable_rel_types: Option<Vec<String>>,
    #[serde(rename = "org.matrix.msc3874.not_rel_types")]
    unstable_not_rel_types: Option<Vec<String>>,
    lazy_load_members: bool,
    unread_thread_notifications: bool,
}

impl EventBody {
    fn events(&self) -> EventFilter {
        EventFilter {
            types: self.types.clone(),
            not_types: self.not_types.clone(),
            senders: self.senders.clone(),
            not_senders: self.not_senders.clone(),
            contains_url: self.contains_url,
            rel_types: self.rel_types.clone().or_else(|| self.unstable_rel_types.clone()),
            not_rel_types: self
                .not_rel_types
                .clone()
                .or_else(|| self.unstable_not_rel_types.clone())
                .unwrap_or_default(),
        }
    }
}

/// What a client wants of a sync.
#[derive(Clone, Debug)]
pub(crate) struct SyncFilter {
    pub(crate) account_data: EventFilter,
    pub(crate) presence: EventFilter,
    pub(crate) room_account_data: EventFilter,
    pub(crate) ephemeral: EventFilter,
    pub(crate) state: EventFilter,
    pub(crate) timeline: EventFilter,
    pub(crate) timeline_limit: usize,
    /// Only the members that the timeline needs.
    pub(crate) lazy_load_members: bool,
    /// Unread counts by thread.
    pub(crate) unread_thread_notifications: bool,
    pub(crate) include_leave: bool,
    rooms: Option<HashSet<String>>,
    not_rooms: HashSet<String>,
}

impl SyncFilter {
    /// Reads a filter's JSON.
    pub(crate) fn parse(json: &[u8]) -> serde_json::Result<Self> {
        let body: FilterBody = serde_json::from_slice(json)?;
        let room = &body.room;
        let limit = room.timeline.limit.map(|limit| usize::try_from(limit).unwrap_or(MOST_TIMELINE));
        Ok(Self {
            account_data: body.account_data.events(),
            presence: body.presence.events(),
            room_account_data: room.account_data.events(),
            ephemeral: room.ephemeral.events(),
            state: room.state.events(),
            timeline: room.timeline.events(),
            timeline_limit: limit.unwrap_or(TIMELINE).min(MOST_TIMELINE),
            lazy_load_members: room.state.lazy_load_members || room.timeline.lazy_load_members,
            unread_thread_notifications: room.timeline.unread_thread_notifications,
            include_leave: room.include_leave,
            rooms: body.room.rooms,
            not_rooms: body.room.not_rooms,
        })
    }

    /// Whether anything of a room is wanted.
    pub(crate) fn allows_room(&self, room_id: &str) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.contains(room_id)) && !self.not_rooms.contains(room_id)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_TIMELINE, SyncFilter};

    #[test]
    fn a_filter_may_say_nothing_or_much() {
        let open = SyncFilter::parse(b"{}").unwrap();
        assert!(open.allows_room("!a:x") && open.timeline.is_open() && !open.lazy_load_members);
        let json = br#"{"room":{"rooms":["!a:x"],"timeline":{"limit":99999,"types":["m.*"],"unknown":1},
            "state":{"lazy_load_members":true}},"event_fields":["type"]}"#;
        let filter = SyncFilter::parse(json).unwrap();
        assert!(filter.lazy_load_members && filter.allows_room("!a:x") && !filter.allows_room("!b:x"));
        assert_eq!(filter.timeline_limit, MOST_TIMELINE);
        assert!(SyncFilter::parse(br#"{"room":{"rooms":7}}"#).is_err());
    }
}
