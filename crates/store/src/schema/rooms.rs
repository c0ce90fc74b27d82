//! What `rooms` owns: events, state, membership, summaries, relations, aliases, transactions.
//!
//! **Order and position.** Within a room, `order` says where an event stands in the timeline: live events are spaced
//! so that older history goes below and gaps can be filled between, without renumbering. `pos` says when this server
//! learnt it. State versions are numbered by the order of the event that set them: the state *before* an event is, for
//! each key, the last version whose number is below the event's order.

use bytes::Bytes;
use myelin_model::{EventNid, Pos, RoomNid};
use ruma::{OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedUserId};

use crate::{KeyspaceDef, keyspace, text_enum};

keyspace! {
    /// A room this server knows.
    pub struct Room in "room" {
        key { room: RoomNid }
        value {
            room_id: OwnedRoomId,
            /// The room version, as in the create event.
            version: String,
            /// The sender of the create event.
            creator: OwnedUserId,
            /// `type` of the create event, such as `m.space`.
            room_type: Option<String>,
            /// When this server learnt of the room.
            created: Pos,
        }
        index {}
    }
}

keyspace! {
    /// The interned id of a room id.
    pub struct RoomById in "room_by_id" {
        key { room_id: OwnedRoomId }
        value { room: RoomNid }
        index {}
    }
}

keyspace! {
    /// The live end of a room. Written with every event, so it is small.
    pub struct RoomHead in "room_head" {
        key { room: RoomNid }
        value {
            /// The order of the newest timeline event. Every event's batch expects the value it planned on.
            last_order: i64,
            /// The position of the newest timeline event.
            last_pos: Pos,
            /// The forward extremities: a JSON array of `[event_id, depth]`.
            extremities: String,
            /// The position of the newest event that moves the room up a list (MSC4186 `bump_stamp`).
            bump_pos: Pos,
            /// How many events of the main timeline so far notify under the default push rules.
            counter: i64,
            /// The order of the newest event in a thread that notifies anyone.
            thread_order: Option<i64>,
            /// Up to this order, what notified was deleted and counts as unread for nobody; and the counter there.
            gone_order: Option<i64>,
            gone_counter: Option<i64>,
            joined: i64,
            invited: i64,
            /// No event of the room is sticky after this time, in milliseconds since 1970 (MSC4354); absent where none was.
            sticky_until: Option<i64>,
        }
        index { BY_CHANGE = "by_change" (last_pos) }
    }
}

impl RoomHead {
    /// The head of a room without events.
    #[must_use]
    pub fn empty(room: RoomNid) -> Self {
        Self {
            room,
            last_order: 0,
            last_pos: Pos::ZERO,
            extremities: "[]".to_owned(),
            bump_pos: Pos::ZERO,
            counter: 0,
            thread_order: None,
            gone_order: None,
            gone_counter: None,
            joined: 0,
            invited: 0,
            sticky_until: None,
        }
    }
}

keyspace! {
    /// What lists of rooms show of a room, taken from its current state. Written only when that changes.
    pub struct RoomSummary in "room_summary" {
        key { room: RoomNid }
        value {
            name: Option<String>,
            canonical_alias: Option<String>,
            avatar_url: Option<String>,
            topic: Option<String>,
            /// `join_rule` of `m.room.join_rules`.
            join_rule: Option<String>,
            history_visibility: Option<String>,
            guest_access: Option<String>,
            /// The algorithm of `m.room.encryption`.
            encryption: Option<String>,
            /// The room that replaced this one, from `m.room.tombstone`.
            replacement: Option<String>,
            /// The room that this one replaces, from the create event.
            predecessor: Option<String>,
            changed: Pos,
        }
        index {}
    }
}

impl RoomSummary {
    /// The summary of a room without state.
    #[must_use]
    pub fn empty(room: RoomNid) -> Self {
        Self {
            room,
            name: None,
            canonical_alias: None,
            avatar_url: None,
            topic: None,
            join_rule: None,
            history_visibility: None,
            guest_access: None,
            encryption: None,
            replacement: None,
            predecessor: None,
            changed: Pos::ZERO,
        }
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventStatus {
    /// Part of the room.
    Accepted,
    /// Failed the authorisation rules; kept so that it is not asked for again.
    Rejected,
    /// Allowed by its own ancestry, but not by the current state: in the graph, not in the timeline.
    SoftFailed,
    /// Known, but without a place in the timeline.
    Outlier,
    /// Accepted against partial state; judged again when the state is complete.
    Partial,
    /// Part of the room and past its retention (MSC1763): only the header is left, for the event that follows it.
    Expired,
}
text_enum!(EventStatus {
    Accepted = "accepted",
    Rejected = "rejected",
    SoftFailed = "soft_failed",
    Outlier = "outlier",
    Partial = "partial",
    Expired = "expired",
});

/// What stands before the id of a delayed event (MSC4140) in [`Event::txn_id`].
pub const DELAY_PREFIX: &str = "delay:";

keyspace! {
    /// The header of an event: what is needed to find, order and judge it. It stays when the content goes.
    pub struct Event in "event" {
        key { event: EventNid }
        value {
            event_id: OwnedEventId,
            room: RoomNid,
            /// Its place in the room's timeline; absent for outliers.
            order: Option<i64>,
            pos: Pos,
            status: EventStatus,
            kind: String,
            state_key: Option<String>,
            sender: OwnedUserId,
            origin_server_ts: i64,
            depth: i64,
            /// The room's notification counter after this event.
            counter: i64,
            /// For a state event: the event whose state it replaced.
            replaces: Option<EventNid>,
            /// The redaction that took its content.
            redacted_by: Option<EventNid>,
            /// The session and transaction id it was sent with, for the sender's own echo.
            session: Option<i64>,
            txn_id: Option<String>,
            /// When it stops being sticky, in milliseconds since 1970 (MSC4354); absent if it never was, or is redacted.
            sticky_until: Option<i64>,
        }
        index {
            BY_ID = "by_id" (event_id),
            BY_ORDER = "by_order" (room, order),
            BY_POS = "by_pos" (pos),
            BY_TIME = "by_time" (room, origin_server_ts),
        }
    }
}

keyspace! {
    /// The event as received (its PDU), until redaction, retention or erasure take it.
    pub struct EventContent in "event_content" {
        key { event: EventNid }
        value { json: Bytes }
        index {}
    }
}

keyspace! {
    /// The current state of a room.
    pub struct State in "state" {
        key { room: RoomNid, kind: String, state_key: String }
        value {
            event: EventNid,
            order: i64,
            changed: Pos,
        }
        index { BY_CHANGE = "by_change" (room, changed) }
    }
}

keyspace! {
    /// The history of a room's state: each change of each key, numbered by the order of the event that made it. Branch
    /// 0 is the main line; others fork from it where the event graph does.
    pub struct StateVersion in "state_version" {
        key { room: RoomNid, branch: i64, kind: String, state_key: String, version: i64 }
        value { event: EventNid }
        index {}
    }
}

/// A user's relation to a room (client-server API, "Room membership").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// In the room.
    Join,
    /// Asked in.
    Invite,
    /// Asks to be let in.
    Knock,
    /// Not in the room, by own choice, kick, or refusal.
    Leave,
    /// Kept out.
    Ban,
}
text_enum!(Membership { Join = "join", Invite = "invite", Knock = "knock", Leave = "leave", Ban = "ban" });

keyspace! {
    /// The current membership of a user in a room, with what lists and lazy loading show of it.
    pub struct Member in "membership" {
        key { room: RoomNid, user_id: OwnedUserId }
        value {
            membership: Membership,
            event: EventNid,
            order: i64,
            changed: Pos,
            sender: OwnedUserId,
            display_name: Option<String>,
            avatar_url: Option<String>,
            /// The order of the event by which the user last joined; absent if they never did.
            joined_at: Option<i64>,
            /// `is_direct` of the invite that led here.
            is_direct: bool,
            /// The user has left and asked not to be shown the room any more.
            forgotten: bool,
        }
        index {
            BY_USER = "by_user" (user_id, room),
            BY_CHANGE = "by_change" (user_id, changed),
        }
    }
}

keyspace! {
    /// An event that relates to another (`m.relates_to`).
    pub struct Relation in "relation" {
        key { target: OwnedEventId, order: i64, event: EventNid }
        value {
            room: RoomNid,
            rel_type: String,
            kind: String,
            sender: OwnedUserId,
            /// The key of an annotation.
            aggregation_key: Option<String>,
        }
        index {
            BY_TYPE = "by_type" (target, rel_type, order),
            BY_EVENT = "by_event" (event),
        }
    }
}

keyspace! {
    /// A thread: its root and what is bundled with it.
    pub struct Thread in "thread" {
        key { room: RoomNid, root: OwnedEventId }
        value {
            replies: i64,
            latest: EventNid,
            latest_order: i64,
        }
        index { BY_LATEST = "by_latest" (room, latest_order) }
    }
}

keyspace! {
    /// Who has written in a thread.
    pub struct ThreadParticipant in "thread_participant" {
        key { room: RoomNid, root: OwnedEventId, user_id: OwnedUserId }
        value { replies: i64 }
        index {}
    }
}

keyspace! {
    /// A local room alias.
    pub struct Alias in "alias" {
        key { alias: OwnedRoomAliasId }
        value { room: RoomNid, creator: OwnedUserId, created_at: i64 }
        index { BY_ROOM = "by_room" (room) }
    }
}

keyspace! {
    /// A room listed in the public directory.
    pub struct DirectoryEntry in "directory_entry" {
        key { room: RoomNid }
        value { added_at: i64 }
        index {}
    }
}

keyspace! {
    /// The room in which the server's administrators speak to a user.
    pub struct NoticeRoom in "notice_room" {
        key { user_id: OwnedUserId }
        value { room_id: OwnedRoomId }
        index {}
    }
}

keyspace! {
    /// What a request with a transaction id made, so that its repetition makes nothing more. `scope` names the endpoint
    /// and what it acted on.
    pub struct Transaction in "room_transaction" {
        key { session: i64, scope: String, txn_id: String }
        value { event_id: OwnedEventId, at: i64 }
        index { BY_TIME = "by_time" (at) }
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[
    super::def::<Room>(),
    super::def::<RoomById>(),
    super::def::<RoomHead>(),
    super::def::<RoomSummary>(),
    super::def::<Event>(),
    super::def::<EventContent>(),
    super::def::<State>(),
    super::def::<StateVersion>(),
    super::def::<Member>(),
    super::def::<Relation>(),
    super::def::<Thread>(),
    super::def::<ThreadParticipant>(),
    super::def::<Alias>(),
    super::def::<DirectoryEntry>(),
    super::def::<NoticeRoom>(),
    super::def::<Transaction>(),
];
