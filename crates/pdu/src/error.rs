//! Why bytes are no event.

use ruma::OwnedEventId;

use crate::limits::MAX_RECEIVED_BYTES;
use crate::{CanonicalError, MalformedSignatures};

/// Why bytes are no event of their room. Over federation such an event is dropped; to a client that sends it the
/// answer is 400 `M_BAD_JSON`, or 413 `M_TOO_LARGE` where [`PduError::is_too_large`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PduError {
    /// It is not JSON, or not JSON that its room version allows.
    #[error(transparent)]
    Json(#[from] CanonicalError),
    /// A field is not there.
    #[error("the event has no {field}")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A field is something else than it must be.
    #[error("the event's {field} is not {expected}")]
    Malformed {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// It takes more than [`MAX_PDU_BYTES`](crate::limits::MAX_PDU_BYTES) of canonical JSON.
    #[error("the event takes {bytes} bytes of canonical JSON, more than 65536")]
    TooLarge {
        /// How many it takes.
        bytes: usize,
    },
    /// It takes more than [`MAX_RECEIVED_BYTES`] as received.
    #[error("the event takes more than {MAX_RECEIVED_BYTES} bytes as received")]
    ReceivedTooLarge,
    /// `sender` takes more than 255 bytes.
    #[error("the event's sender takes more than 255 bytes")]
    SenderTooLong,
    /// `room_id` takes more than 255 bytes.
    #[error("the event's room_id takes more than 255 bytes")]
    RoomIdTooLong,
    /// `state_key` takes more than 255 bytes.
    #[error("the event's state_key takes more than 255 bytes")]
    StateKeyTooLong,
    /// `type` takes more than 255 bytes.
    #[error("the event's type takes more than 255 bytes")]
    TypeTooLong,
    /// An event id in it takes more than 255 bytes.
    #[error("an event id takes more than 255 bytes")]
    EventIdTooLong,
    /// `depth` is negative or above [`RoomRules::max_depth`](crate::RoomRules::max_depth).
    #[error("the event's depth is out of range")]
    DepthOutOfRange,
    /// There are more than [`MAX_PREV_EVENTS`](crate::limits::MAX_PREV_EVENTS) parents.
    #[error("the event has more than 20 prev_events")]
    TooManyPrevEvents,
    /// There are more than [`MAX_AUTH_EVENTS`](crate::limits::MAX_AUTH_EVENTS) auth events.
    #[error("the event has more than 10 auth_events")]
    TooManyAuthEvents,
    /// A draft refers to an event without its hash, which its room version writes down (v1, v2).
    #[error("this room version needs the reference hash of {event_id}")]
    MissingReferenceHash {
        /// The event referred to.
        event_id: OwnedEventId,
    },
    /// `signatures` is malformed.
    #[error(transparent)]
    Signatures(#[from] MalformedSignatures),
}

impl PduError {
    /// Whether the event is over a size limit.
    #[must_use]
    pub const fn is_too_large(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::ReceivedTooLarge
                | Self::SenderTooLong
                | Self::RoomIdTooLong
                | Self::StateKeyTooLong
                | Self::TypeTooLong
                | Self::EventIdTooLong
        )
    }
}
