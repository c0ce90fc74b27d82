//! Events that are sticky (MSC4354). Owner: `rooms`.

use myelin_model::{EventNid, Pos, RoomNid};
use ruma::OwnedUserId;

use crate::{KeyspaceDef, keyspace};

keyspace! {
    /// An event that clients are told of however far the timeline has gone on. Written with the event; it goes when it is
    /// redacted or purged, and some time after it stopped being sticky: who reads it looks at the time.
    pub struct StickyEvent in "sticky_event" {
        key {
            room: RoomNid,
            /// The event's own.
            pos: Pos,
        }
        value {
            event: EventNid,
            sender: OwnedUserId,
            /// When it stops being sticky, in milliseconds since 1970.
            until: i64,
        }
        index {
            BY_SENDER = "by_sender" (room, sender, until),
            BY_END = "by_end" (until),
        }
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[super::def::<StickyEvent>()];
