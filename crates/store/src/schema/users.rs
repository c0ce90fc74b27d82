//! What `users` owns: profiles, account data, receipts, filters, reports.

use bytes::Bytes;
use myelin_model::{Pos, RoomNid};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};

use crate::{KeyspaceDef, keyspace};

/// The room of account data that belongs to no room.
pub const GLOBAL: RoomNid = RoomNid(0);

keyspace! {
    /// A local user's profile.
    pub struct Profile in "profile" {
        key { user_id: OwnedUserId }
        value {
            display_name: Option<String>,
            avatar_url: Option<String>,
            /// Further fields (MSC4133) as a JSON object.
            fields: Option<Bytes>,
            changed: Pos,
        }
        index { BY_CHANGE = "by_change" (changed) }
    }
}

keyspace! {
    /// When a field of a profile last changed. It follows the profile for those who are told of changes (MSC4262); of
    /// fields that were removed only the newest are kept.
    pub struct ProfileChange in "profile_change" {
        key { user_id: OwnedUserId, field: String }
        value {
            /// Whether the field was removed.
            removed: bool,
            changed: Pos,
        }
        index { BY_CHANGE = "by_change" (changed), BY_REMOVAL = "by_removal" (user_id, removed, changed) }
    }
}

keyspace! {
    /// A change of a profile that the rooms of its user don't all show yet. Written with the change, deleted when the
    /// last room has it.
    pub struct ProfileSpread in "profile_spread" {
        key { user_id: OwnedUserId }
        value {
            /// The last room that was seen to.
            done: RoomNid,
            /// Which change it is about.
            changed: Pos,
        }
        index {}
    }
}

keyspace! {
    /// A user has joined a room that replaces another one, and what they keep of the old room is to be copied. Written
    /// with the join, deleted with the copy.
    pub struct Replacement in "room_replacement" {
        key { user_id: OwnedUserId, room: RoomNid }
        value {
            /// The room that was replaced.
            old: RoomNid,
        }
        index {}
    }
}

keyspace! {
    /// A word, or the end of one, in the name or the localpart of a user who is or was in a room here: where the search
    /// for users begins. What it finds is looked at again, so a row may be there that is no longer true.
    pub struct DirectoryTerm in "directory_term" {
        key { term: String, user_id: OwnedUserId }
        value {
            /// Whether it is a whole word rather than the end of one.
            whole: bool,
        }
        index {}
    }
}

keyspace! {
    /// A user's account data, global (room 0) or of one room. Tags are the room's `m.tag`. Content `{}` of a type that
    /// was deleted (MSC3391) stays as a row, so that clients learn of it.
    pub struct AccountData in "account_data" {
        key { user_id: OwnedUserId, room: RoomNid, kind: String }
        value { content: Bytes, changed: Pos }
        index { BY_CHANGE = "by_change" (user_id, changed) }
    }
}

keyspace! {
    /// How far a user has read, per room, kind of receipt and thread.
    pub struct Receipt in "receipt" {
        key {
            room: RoomNid,
            user_id: OwnedUserId,
            /// `m.read` or `m.read.private`.
            kind: String,
            /// Empty for an unthreaded receipt, `main`, or the thread root's event id.
            thread: String,
        }
        value {
            event_id: OwnedEventId,
            /// The event's order: receipts only move forward.
            order: i64,
            at: i64,
            changed: Pos,
        }
        index { BY_CHANGE = "by_change" (room, changed) }
    }
}

keyspace! {
    /// A filter that a client saved.
    pub struct Filter in "filter" {
        key { user_id: OwnedUserId, filter_id: String }
        value { json: Bytes }
        index {}
    }
}

keyspace! {
    /// How much room a user's filters take.
    pub struct FilterUse in "filter_use" {
        key { user_id: OwnedUserId }
        value { filters: i64, bytes: i64 }
        index {}
    }
}

keyspace! {
    /// What a user reported to the server's administrators: a room, an event of a room, or another user. Deleted when an
    /// administrator dismisses it.
    pub struct Report in "report" {
        key { pos: Pos }
        value {
            at: i64,
            reporter: OwnedUserId,
            /// The room that is reported, or in which the event is.
            room_id: Option<OwnedRoomId>,
            event_id: Option<OwnedEventId>,
            user_id: Option<OwnedUserId>,
            /// The event as the reporter saw it, since it may be redacted before somebody looks.
            event: Option<Bytes>,
            reason: Option<String>,
        }
        index { BY_REPORTER = "by_reporter" (reporter) }
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[
    super::def::<Profile>(),
    super::def::<ProfileChange>(),
    super::def::<ProfileSpread>(),
    super::def::<Replacement>(),
    super::def::<DirectoryTerm>(),
    super::def::<AccountData>(),
    super::def::<Receipt>(),
    super::def::<Filter>(),
    super::def::<FilterUse>(),
    super::def::<Report>(),
];
