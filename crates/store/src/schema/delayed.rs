//! Events that are to be sent later (MSC4140). Owner: `rooms`.

use bytes::Bytes;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};

use crate::{KeyspaceDef, keyspace, text_enum};

/// What became of a delayed event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DelayStatus {
    /// It waits for its time.
    Pending,
    /// It is being sent; nothing stops it any more.
    Sending,
    /// It was sent.
    Sent,
    /// It could not be sent.
    Failed,
    /// Its owner took it back.
    Cancelled,
}
text_enum!(DelayStatus {
    Pending = "pending",
    Sending = "sending",
    Sent = "sent",
    Failed = "failed",
    Cancelled = "cancelled",
});

keyspace! {
    /// An event that is to be sent later. It stays for a while when that is done, so that its owner can ask.
    pub struct DelayedEvent in "delayed_event" {
        key { delay_id: String }
        value {
            user_id: OwnedUserId,
            /// The session that scheduled it, and the request by which it did.
            session: i64,
            txn: Option<String>,
            room_id: OwnedRoomId,
            kind: String,
            state_key: Option<String>,
            content: Bytes,
            /// The delay, in milliseconds.
            delay: i64,
            status: DelayStatus,
            /// When it is to be sent; of one that was restarted, when it was by the last restart that was written.
            due: i64,
            /// When to look at it: to send it, where it is due by then, or when it is done with, to forget it. A restart
            /// only moves `due`, which no index has, for callers restart theirs every few seconds.
            wake: i64,
            /// When it was done with.
            finalised: Option<i64>,
            event_id: Option<OwnedEventId>,
            /// Why it was not sent: the errcode and a sentence, as JSON.
            error: Option<String>,
            /// For how many milliseconds the event is to be sticky (MSC4354), if at all.
            sticky: Option<i64>,
            /// When it was restarted for the first time. From then on restarts may be answered that are not in `due` yet.
            restarted: Option<i64>,
        }
        index {
            BY_WAKE = "by_wake" (wake),
            BY_USER = "by_user" (user_id, status, finalised),
            BY_TXN = "by_txn" (session, txn),
        }
    }
}

pub(super) const ALL: &[&KeyspaceDef] = &[super::def::<DelayedEvent>()];
