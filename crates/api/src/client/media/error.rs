//! What goes wrong with media, as Matrix errors.

use std::time::Duration;

use http::StatusCode;
use myelin_media::{CreateError, Media, PreviewError, StorageError, ThumbnailError, UploadError};
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

/// 504: the file of a URI that was created is still to come.
pub(super) fn not_yet_uploaded() -> Error {
    let message = "Media has not been uploaded yet";
    Error::new(StatusCode::GATEWAY_TIMEOUT, "M_NOT_YET_UPLOADED", message)
}

/// How long to wait where too many uploads are pending. They may end at any moment, or after a day.
const PENDING_PAUSE: Duration = Duration::from_secs(30);

pub(super) fn create_error(error: CreateError) -> Error {
    match error {
        CreateError::TooMany => Error::limit_exceeded(PENDING_PAUSE),
        CreateError::Storage(error) => storage_error(&error),
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
        UploadError::NotCreated => {
            Error::not_found("This media id was not created here, or it has expired: create another.")
        }
        UploadError::Foreign => Error::forbidden("This media id is somebody else's."),
        UploadError::OverQuota => Error::forbidden(
            "You have as many files here as you may; the server's administrator sets how many.",
        ),
        UploadError::Quarantined => Error::forbidden("This content can't be uploaded here."),
        UploadError::Uploaded => {
            let message = "Media ID already has content";
            Error::new(StatusCode::CONFLICT, "M_CANNOT_OVERWRITE_MEDIA", message)
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

pub(super) fn preview_error(error: PreviewError) -> Error {
    match error {
        PreviewError::Off => Error::unrecognized(),
        PreviewError::BadUrl => Error::invalid_param("The url has to be one of a web page."),
        PreviewError::Refused => Error::forbidden("The server may not look at this address."),
        PreviewError::Unreachable => {
            Error::new(StatusCode::BAD_GATEWAY, "M_UNKNOWN", "The page could not be fetched.")
        }
        PreviewError::Busy => Error::limit_exceeded(Duration::from_secs(5)),
        PreviewError::Storage(error) => storage_error(&error),
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
