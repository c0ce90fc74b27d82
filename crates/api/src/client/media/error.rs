//! What goes wrong with media, as Matrix errors.

use std::time::Duration;

use http::StatusCode;
use myelin_media::{Media, StorageError, ThumbnailError, UploadError};
use ruma::ServerName;

use crate::Error;

/// 404: no such file, or none that is kept here.
pub(super) fn not_found(media: &Media, server: &ServerName) -> Error {
    if media.is_local(server) {
        Error::not_found("There is no such media.")
    } else {
        Error::not_found(format!("This server does not have media of {server}."))
    }
}

pub(super) fn bad_content_type() -> Error {
    Error::invalid_param("The Content-Type header has to be printable ASCII of at most 255 bytes.")
}

pub(super) fn upload_error(error: UploadError) -> Error {
    match error {
        UploadError::TooLarge { limit } => {
            let message = format!("Files of more than {limit} bytes can't be uploaded.");
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", message)
        }
        UploadError::TooMany => Error::limit_exceeded(Duration::from_secs(5)),
        UploadError::BadContentType => bad_content_type(),
        UploadError::BadFilename => Error::invalid_param("The file's name may have at most 1024 bytes."),
        UploadError::BrokenOff(_) => {
            Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", "The upload broke off.")
        }
        UploadError::StoodStill => {
            let message = "The upload stood still for too long; send it again.";
            Error::new(StatusCode::REQUEST_TIMEOUT, "M_UNKNOWN", message)
        }
        UploadError::Storage(error) => storage_error(&error),
    }
}

pub(super) fn thumbnail_error(error: ThumbnailError) -> Error {
    let refused = |message: &str| Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message);
    match error {
        ThumbnailError::Unsupported => {
            refused("Thumbnails are made of PNG, JPEG, GIF and WebP pictures only.")
        }
        ThumbnailError::Broken => refused("The picture can't be decoded: no thumbnail can be made of it."),
        ThumbnailError::TooLarge => {
            let message = "The picture is too large for a thumbnail to be made of it.";
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", message)
        }
        ThumbnailError::Busy => Error::unavailable(&error),
        ThumbnailError::Storage(error) => storage_error(&error),
    }
}

pub(super) fn storage_error(error: &StorageError) -> Error {
    match error {
        StorageError::Full => {
            // The media service has told the operator.
            let message = "The server has no room for more files; its administrator has to make some.";
            Error::new(StatusCode::INSUFFICIENT_STORAGE, "M_UNKNOWN", message)
        }
        StorageError::Missing(_) | StorageError::Damaged(_) => Error::internal(error),
        StorageError::Read(_) | StorageError::Commit(_) | StorageError::Blob(_) | StorageError::Abandoned => {
            Error::unavailable(error)
        }
    }
}
