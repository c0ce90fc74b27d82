//! The form of a `/v3/sync` answer.

use std::collections::BTreeMap;

use myelin_store::schema::notify::Counts;
use ruma::OwnedEventId;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::devices::KeyCounts;
use crate::parts::DeviceListsAnswer;

type Raw = Box<RawValue>;

/// A list of events.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Events {
    pub(crate) events: Vec<Raw>,
}

impl Events {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct V3Answer {
    pub(crate) next_batch: String,
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub(crate) account_data: Events,
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub(crate) to_device: Events,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_lists: Option<DeviceListsAnswer>,
    #[serde(flatten)]
    pub(crate) counts: Option<KeyCounts>,
    pub(crate) presence: Events,
    /// Somebody else's presence is among it; one's own wakes nobody.
    #[serde(skip)]
    pub(crate) presence_of_others: bool,
    pub(crate) rooms: Rooms,
    /// There are more sticky events than it has.
    #[serde(skip)]
    pub(crate) more_sticky: bool,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Rooms {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) join: BTreeMap<String, JoinedRoom>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) invite: BTreeMap<String, InvitedRoom>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) knock: BTreeMap<String, KnockedRoom>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) leave: BTreeMap<String, JoinedRoom>,
}

impl Rooms {
    fn is_empty(&self) -> bool {
        self.join.is_empty() && self.invite.is_empty() && self.knock.is_empty() && self.leave.is_empty()
    }
}

impl V3Answer {
    /// Whether there is anything to wake a client for.
    pub(crate) fn is_news(&self) -> bool {
        let lists = self.device_lists.as_ref();
        !self.rooms.is_empty()
            || !self.account_data.is_empty()
            || !self.to_device.is_empty()
            || self.presence_of_others
            || self.more_sticky
            || lists.is_some_and(|lists| !lists.changed.is_empty() || !lists.left.is_empty())
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct InvitedRoom {
    pub(crate) invite_state: Events,
}

#[derive(Debug, Serialize)]
pub(crate) struct KnockedRoom {
    pub(crate) knock_state: Events,
}

/// A room that the user is in, or has left.
#[derive(Debug, Default, Serialize)]
pub(crate) struct JoinedRoom {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<Events>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state_after: Option<Events>,
    #[serde(rename = "org.matrix.msc4222.state_after", skip_serializing_if = "Option::is_none")]
    pub(crate) unstable_state_after: Option<Events>,
    pub(crate) timeline: Timeline,
    #[serde(skip_serializing_if = "Events::is_empty")]
    pub(crate) ephemeral: Events,
    /// Those that are not in the timeline (MSC4354).
    #[serde(rename = "msc4354_sticky", skip_serializing_if = "Events::is_empty")]
    pub(crate) sticky: Events,
    /// Written when empty too: there are clients that look for it without asking whether it is there.
    pub(crate) account_data: Events,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unread_notifications: Option<UnreadCounts>,
    /// By thread root, where the filter asks for it; `unread_notifications` then is of the main timeline alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unread_thread_notifications: Option<BTreeMap<OwnedEventId, UnreadCounts>>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Timeline {
    pub(crate) events: Vec<Raw>,
    pub(crate) limited: bool,
    pub(crate) prev_batch: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    #[serde(rename = "m.heroes", skip_serializing_if = "Option::is_none")]
    pub(crate) heroes: Option<Vec<String>>,
    #[serde(rename = "m.joined_member_count")]
    pub(crate) joined: i64,
    #[serde(rename = "m.invited_member_count")]
    pub(crate) invited: i64,
}

#[derive(Debug)]
pub(crate) struct UnreadCounts(pub(crate) Counts);

impl Serialize for UnreadCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut counts = serializer.serialize_struct("UnreadCounts", 2)?;
        counts.serialize_field("notification_count", &self.0.notifications)?;
        counts.serialize_field("highlight_count", &self.0.highlights)?;
        counts.end()
    }
}
