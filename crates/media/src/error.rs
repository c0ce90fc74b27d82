//! What all operations on media may fail with.

use myelin_store::{CommitError, ReadError};

use crate::{BlobError, BlobId};

/// The records or the bytes could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// No room for more. Nothing was kept; it may work later.
    #[error("there is no room for more media")]
    Full,
    /// The records can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The records can't be written.
    #[error(transparent)]
    Commit(CommitError),
    /// The bytes can't be read or written.
    #[error(transparent)]
    Blob(BlobError),
    /// A record points at bytes that are not there: the media folder was not kept together with the store.
    #[error("the media folder lacks the blob {0}, which a record points at")]
    Missing(BlobId),
    /// A record holds what no release writes.
    #[error("a record of media is damaged: {0}")]
    Damaged(&'static str),
    /// The work ended without a result: a bug, or the server is stopping.
    #[error("the work was given up")]
    Abandoned,
}

impl From<CommitError> for StorageError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Full => Self::Full,
            other => Self::Commit(other),
        }
    }
}

impl From<BlobError> for StorageError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Full => Self::Full,
            other => Self::Blob(other),
        }
    }
}
