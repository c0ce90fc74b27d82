//! Matrix errcodes for what profiles refuse.

use http::StatusCode;
use myelin_users::{InvalidKey, ProfileError};

use crate::Error;

impl From<ProfileError> for Error {
    fn from(error: ProfileError) -> Self {
        let bad = |errcode, message: &str| Self::new(StatusCode::BAD_REQUEST, errcode, message);
        match error {
            ProfileError::NotYours => Self::forbidden("You can change your own profile only."),
            ProfileError::NoSuchUser(user_id) => {
                Self::not_found(format!("This server knows no profile of {user_id}."))
            }
            ProfileError::Key(error) => error.into(),
            ProfileError::Value(problem) => {
                Self::invalid_param(format!("The field can't be set: {problem}."))
            }
            ProfileError::TooLarge => {
                bad("M_PROFILE_TOO_LARGE", "The whole profile would be larger than 64 KiB.")
            }
            ProfileError::Read(error) => error.into(),
            ProfileError::Commit(error) => error.into(),
        }
    }
}

impl From<InvalidKey> for Error {
    fn from(error: InvalidKey) -> Self {
        let message = "The name of a profile field may have at most 255 bytes.";
        match error {
            InvalidKey::TooLong => Self::new(StatusCode::BAD_REQUEST, "M_KEY_TOO_LARGE", message),
            InvalidKey::Grammar => Self::invalid_param(
                "A profile field is displayname, avatar_url, m.tz or a namespaced name such as org.example.pronouns.",
            ),
        }
    }
}
