//! The one way in which the store fails a request, shared by every error of this crate.

use myelin_store::{CommitError, ReadError, ReserveError};

/// The store could not do its part. The request may be fine; a later attempt may succeed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not write; nothing was changed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Others changed the same rows at every attempt.
    #[error("others kept changing the same account or session")]
    Contended,
    /// There is no key to seal a secret with.
    #[error("no secret can be sealed: there is no key")]
    Unsealable,
    /// The server stopped before it knew how the commit ended.
    #[error("the server is stopping")]
    Stopping,
}

impl From<ReserveError> for StoreError {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Read(error) => Self::Read(error),
            ReserveError::Commit(error) => Self::Commit(error),
        }
    }
}
