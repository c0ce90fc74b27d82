//! What takes events away after the fact. Owner: `rooms`.

mod retention;

pub use retention::{Expiry, Lifetimes, MOST_LIFETIME, lifetimes};

use myelin_model::{EventNid, Pos, RoomNid};
use ruma::OwnedUserId;

use crate::{KeyspaceDef, keyspace};

keyspace! {
    /// A kick or ban that takes what its target wrote along (MSC4293), and that has not seen to all of it yet. Written with
    /// the kick or ban.
    pub struct RedactionSweep in "redaction_sweep" {
        key {
            room: RoomNid,
            /// The kick or ban.
            by: EventNid,
        }
        value {
            /// Whose events go.
            user_id: OwnedUserId,
            /// Those from this order on ...
            from: i64,
            /// ... and below this one; what was above is seen to.
            until: i64,
        }
        index {}
    }
}

keyspace! {
    /// Events whose content was taken without an event of the log that names them: by a sweep, or by a purge. Who derives
    /// something from events takes that back too. A row goes when the search index is past it.
    pub struct Erasure in "event_erasure" {
        key { pos: Pos }
        value {
            room: RoomNid,
            /// Their numbers: a JSON array.
            events: String,
        }
        index {}
    }
}

keyspace! {
    /// For how long a room wants its history kept: its current `m.room.retention` (MSC1763), in milliseconds. Absent where
    /// it says nothing that can be understood.
    pub struct RoomRetention in "room_retention" {
        key { room: RoomNid }
        value {
            min_lifetime: Option<i64>,
            max_lifetime: Option<i64>,
        }
        index {}
    }
}

keyspace! {
    /// What the configuration says of retention, in milliseconds. One row, written at the start, so that whoever reads events
    /// knows which are past their time; absent where nothing expires, whatever rooms say.
    pub struct ServerRetention in "server_retention" {
        key { name: String }
        value {
            /// For how long events are kept in rooms that don't say.
            default_max: Option<i64>,
            /// The least and the most that a room may ask for.
            allowed_min: Option<i64>,
            allowed_max: Option<i64>,
        }
        index {}
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[
    super::def::<RedactionSweep>(),
    super::def::<Erasure>(),
    super::def::<RoomRetention>(),
    super::def::<ServerRetention>(),
];
