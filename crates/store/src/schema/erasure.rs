//! What takes events away after the fact. Owner: `rooms`.

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

pub(super) const ALL: &[&KeyspaceDef] = &[super::def::<RedactionSweep>(), super::def::<Erasure>()];
