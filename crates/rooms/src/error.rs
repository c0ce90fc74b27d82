//! Why an event was not sent.

use myelin_room_core::auth::Rejection;
use myelin_store::{CommitError, ReadError, ReserveError};
use ruma::OwnedUserId;
use std::sync::Arc;

/// The room or its rules refuse an event; sending it again changes nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// The room's authorisation rules.
    #[error("{0}")]
    NotAllowed(Rejection),
    /// The redaction of somebody else's event without the power for it.
    #[error("you may not redact this event")]
    MayNotRedact,
    /// The event is too large, too deep, or otherwise none of its room version.
    #[error("{0}")]
    NoEvent(String),
    /// The event is too large.
    #[error("{0}")]
    TooLarge(String),
    /// The invited user does not want invites from this sender.
    #[error("{0} does not accept invites from you")]
    InviteBlocked(OwnedUserId),
    /// The room is kept out of this server.
    #[error("this room is blocked on this server")]
    RoomBlocked,
    /// The user is kept out of rooms by this server.
    #[error("{0} is kept out of rooms by this server")]
    UserBlocked(OwnedUserId),
    /// The event that a request names is not in the room.
    #[error("there is no such event in this room")]
    NoSuchEvent,
    /// The user has [`MAX_STICKY`](crate::MAX_STICKY) sticky events in the room (MSC4354).
    #[error("you may have at most {} sticky events in a room at a time", crate::MAX_STICKY)]
    TooManySticky {
        /// When there is place for one again, in milliseconds from now.
        retry_after: u64,
    },
    /// The sender's account is suspended.
    #[error("this account is suspended")]
    Suspended,
}

/// Why a draft became no event.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SendError {
    /// There is no such room here.
    #[error("this server does not know the room")]
    NoSuchRoom,
    /// See [`Refusal`].
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The room's version is one whose rules this server does not judge yet.
    #[error("{0}")]
    UnsupportedVersion(String),
    /// More waits for this room than its queue takes.
    #[error("the room has too many requests waiting")]
    Busy,
    /// No room on the disk. Nothing was acknowledged.
    #[error("the disk is full")]
    Full,
    /// The store could not be read or written, or the server is stopping. Nothing was acknowledged.
    #[error("the room could not be read or written")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl SendError {
    /// Whether the same draft may be taken later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy | Self::Full | Self::Unavailable(_))
    }
}

impl From<ReadError> for SendError {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

impl From<CommitError> for SendError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Full => Self::Full,
            other => Self::Unavailable(Arc::new(other)),
        }
    }
}

impl From<ReserveError> for SendError {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Read(error) => error.into(),
            ReserveError::Commit(error) => error.into(),
        }
    }
}
