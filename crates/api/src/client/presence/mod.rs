//! Who is there.

use myelin_users::{PresenceError, PresenceState};

use crate::Error;

pub(crate) mod status;

/// Reads `set_presence` of a sync. Left out it says nothing.
pub(crate) fn set_presence(text: Option<&str>) -> Result<Option<PresenceState>, Error> {
    text.map(|text| PresenceState::parse(text).ok_or_else(no_state)).transpose()
}

fn no_state() -> Error {
    Error::invalid_param("Presence is online, unavailable or offline.")
}

impl From<PresenceError> for Error {
    fn from(error: PresenceError) -> Self {
        match error {
            PresenceError::NotYours => Self::forbidden("You can set your own presence only."),
            PresenceError::NotShared => Self::forbidden("You are not allowed to see their presence."),
            PresenceError::StatusTooLong => {
                Self::invalid_param("The status_msg may have at most 1024 bytes.")
            }
            PresenceError::Read(error) => error.into(),
        }
    }
}
