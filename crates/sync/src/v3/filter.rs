//! Filters of `/v3/sync` (client-server API, "Filtering"), as far as they bear on a sync.

use std::collections::HashSet;

use myelin_sync_core::event_fields::EventFields;
use myelin_sync_core::event_filter::{EventFilter, EventFilterBody};
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

/// Events of a timeline, unless the client wants more or fewer.
const TIMELINE: usize = 10;
/// The most it may want.
const MOST_TIMELINE: usize = 1000;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct FilterBody {
    event_fields: Option<Vec<String>>,
    account_data: EventFilterBody,
    presence: EventFilterBody,
    room: RoomBody,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RoomBody {
    include_leave: bool,
    rooms: Option<HashSet<String>>,
    not_rooms: HashSet<String>,
    account_data: EventFilterBody,
    ephemeral: EventFilterBody,
    state: EventFilterBody,
    timeline: EventFilterBody,
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
    /// The fields of a room's events that are wanted; none: all of them.
    fields: Option<EventFields>,
    rooms: Option<HashSet<String>>,
    not_rooms: HashSet<String>,
}

impl SyncFilter {
    /// Reads a filter's JSON.
    pub(crate) fn parse(json: &[u8]) -> serde_json::Result<Self> {
        let body: FilterBody = serde_json::from_slice(json)?;
        let room = body.room;
        let limit = room.timeline.limit.map(|limit| usize::try_from(limit).unwrap_or(MOST_TIMELINE));
        // A client that wants no field of any event means that it does not care.
        let fields = body.event_fields.filter(|paths| !paths.is_empty());
        let fields = fields.map(|paths| EventFields::parse(paths.iter().map(String::as_str)));
        let by_thread = room.timeline.unread_thread_notifications;
        let lazy = [&room.state, &room.timeline].map(|body| body.lazy_load_members);
        Ok(Self {
            account_data: body.account_data.into(),
            presence: body.presence.into(),
            room_account_data: room.account_data.into(),
            ephemeral: room.ephemeral.into(),
            state: room.state.into(),
            timeline: room.timeline.into(),
            timeline_limit: limit.unwrap_or(TIMELINE).min(MOST_TIMELINE),
            lazy_load_members: lazy.contains(&Some(true)),
            unread_thread_notifications: by_thread == Some(true),
            fields: fields.transpose().map_err(serde_json::Error::custom)?,
            include_leave: room.include_leave,
            rooms: room.rooms,
            not_rooms: room.not_rooms,
        })
    }

    /// Room events as the client wants them.
    pub(crate) fn trim(&self, events: Vec<Box<RawValue>>) -> Vec<Box<RawValue>> {
        match &self.fields {
            None => events,
            Some(fields) => events.iter().map(|event| fields.of(event)).collect(),
        }
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
