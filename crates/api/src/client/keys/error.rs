//! Matrix errcodes for what `e2ee` refuses of keys.

use http::StatusCode;
use myelin_e2ee::{
    ClaimError, CrossSigningError, QueryError, SignatureFailure, SignaturesError, UploadError,
};

use crate::Error;

impl From<UploadError> for Error {
    fn from(error: UploadError) -> Self {
        match error {
            // Clients look at the beginning of this message to learn that they have lost track of their keys.
            UploadError::DuplicateOneTimeKey { .. } => Self::invalid_param(error.to_string()),
            UploadError::NoDevice | UploadError::NotYours | UploadError::IdInUse | UploadError::TooMany => {
                Self::invalid_param(sentence(&error))
            }
            UploadError::Malformed(_) | UploadError::NotCanonical(_) => Self::bad_json(sentence(&error)),
            UploadError::TooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", sentence(&error))
            }
            UploadError::Read(error) => error.into(),
            UploadError::Commit(error) => error.into(),
        }
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Read(error) => error.into(),
        }
    }
}

impl From<ClaimError> for Error {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Read(error) => error.into(),
            ClaimError::Commit(error) => error.into(),
        }
    }
}

impl From<CrossSigningError> for Error {
    fn from(error: CrossSigningError) -> Self {
        match error {
            CrossSigningError::NoMasterKey => Self::missing_param(sentence(&error)),
            CrossSigningError::InvalidSignature(_) => {
                Self::new(StatusCode::BAD_REQUEST, "M_INVALID_SIGNATURE", sentence(&error))
            }
            CrossSigningError::IdInUse(_) => Self::forbidden(sentence(&error)),
            // Another device published keys since the endpoint looked.
            CrossSigningError::NeedsReauthentication => {
                Self::forbidden("Other cross-signing keys were uploaded at the same time; try again.")
            }
            CrossSigningError::NotYours(_) | CrossSigningError::Malformed { .. } => {
                Self::invalid_param(sentence(&error))
            }
            CrossSigningError::NotCanonical(_) => Self::bad_json(sentence(&error)),
            CrossSigningError::Read(error) => error.into(),
            CrossSigningError::Commit(error) => error.into(),
        }
    }
}

impl From<SignaturesError> for Error {
    fn from(error: SignaturesError) -> Self {
        match error {
            SignaturesError::TooMany => Self::invalid_param(sentence(&error)),
            SignaturesError::Read(error) => error.into(),
            SignaturesError::Commit(error) => error.into(),
        }
    }
}

/// The errcode of a key in the `failures` of an upload of signatures.
pub(super) fn failure_code(failure: SignatureFailure) -> &'static str {
    match failure {
        SignatureFailure::UnknownKey => "M_NOT_FOUND",
        SignatureFailure::Malformed => "M_BAD_JSON",
        SignatureFailure::OtherKey => "M_INVALID_PARAM",
        SignatureFailure::InvalidSignature => "M_INVALID_SIGNATURE",
    }
}

/// The error's text as a sentence for the caller.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
