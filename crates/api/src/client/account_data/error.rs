//! Matrix errcodes for what account data refuse.

use http::StatusCode;
use myelin_users::AccountDataError;

use crate::Error;

impl From<AccountDataError> for Error {
    fn from(error: AccountDataError) -> Self {
        match error {
            AccountDataError::NotYours => {
                Self::forbidden("You can read and change your own account data only.")
            }
            AccountDataError::NotInRoom => Self::forbidden("You are not in this room."),
            AccountDataError::Managed(kind) => {
                let message = format!("The server itself keeps {kind}; it can't be set through this API.");
                Self::new(StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON", message)
            }
            AccountDataError::NotAnObject => Self::bad_json("The content must be a JSON object."),
            AccountDataError::BadName => Self::invalid_param("The name is empty or longer than 255 bytes."),
            AccountDataError::TooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", "The content is larger than 512 KiB.")
            }
            AccountDataError::Read(error) => error.into(),
            AccountDataError::Commit(error) => error.into(),
        }
    }
}
