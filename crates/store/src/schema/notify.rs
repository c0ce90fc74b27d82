//! What `notify` owns: where unread counts begin, and what the default rules don't say.
//!
//! A user's unread count in a room is `room_head.counter` minus the counter at their [`UnreadBase`], plus or minus
//! the [`Notification`] rows above it. A message into a room of ten thousand so writes no row per member; nor does one
//! that is a highlight for all of them ([`RoomHighlight`]). [`unread`] puts the count together.

mod read;

pub use read::{MAX_COUNTED, PUSH_RULES, Unread, push_rules_content, unread};

use myelin_model::{EventNid, Pos, RoomNid};
use ruma::OwnedUserId;

use crate::{KeyspaceDef, keyspace};

keyspace! {
    /// Where a user's unread count in a room begins: their last receipt, own message, invite or join, whichever is
    /// latest. It only moves forward.
    pub struct UnreadBase in "unread_base" {
        key { user_id: OwnedUserId, room: RoomNid }
        value {
            order: i64,
            counter: i64,
            /// When the count last changed other than by an event that adds to it.
            changed: Pos,
        }
        index { BY_CHANGE = "by_change" (user_id, changed) }
    }
}

keyspace! {
    /// An event that notifies one user in another way than the default rules say of everyone. Rows at or below the
    /// user's [`UnreadBase`] count no more.
    pub struct Notification in "notification" {
        key { user_id: OwnedUserId, room: RoomNid, order: i64 }
        value {
            event: EventNid,
            /// What it adds to the unread count beyond the room's counter: 1, 0 or -1.
            unread: i64,
            /// Whether it is a highlight; said of this user, it overrides a [`RoomHighlight`] of the same event.
            highlight: bool,
        }
        index {}
    }
}

keyspace! {
    /// An event that is a highlight for everyone in its room: a mention of the whole room, or its tombstone.
    pub struct RoomHighlight in "room_highlight" {
        key { room: RoomNid, order: i64 }
        value { event: EventNid }
        index {}
    }
}

pub(super) const ALL: &[&KeyspaceDef] =
    &[super::def::<UnreadBase>(), super::def::<Notification>(), super::def::<RoomHighlight>()];
