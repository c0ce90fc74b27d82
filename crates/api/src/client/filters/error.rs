//! Matrix errcodes for filters.

use http::StatusCode;
use myelin_users::FilterError;

use crate::Error;

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        match error {
            FilterError::NotYours => Self::forbidden("You can save and read your own filters only."),
            FilterError::NotAnObject => Self::bad_json("A filter must be a JSON object."),
            FilterError::TooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", "A filter may have at most 64 KiB.")
            }
            FilterError::TooMany => {
                let message =
                    "You have saved too many filters: use one of those, or pass the filter itself to sync.";
                Self::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message)
            }
            FilterError::Read(error) => error.into(),
            FilterError::Commit(error) => error.into(),
        }
    }
}
