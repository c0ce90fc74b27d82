//! What SQLite's errors mean to callers.

use std::sync::Arc;

use myelin_store::{CommitError, ReadError};
use rusqlite::ErrorCode;

/// Why a whole transaction failed: told to each batch in it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{context}")]
pub(super) struct Failure {
    context: &'static str,
    source: Arc<rusqlite::Error>,
}

impl Failure {
    pub(super) fn new(context: &'static str, source: rusqlite::Error) -> Self {
        Self { context, source: Arc::new(source) }
    }

    /// Whether only space is missing, so that the connection can be trusted after a rollback.
    pub(super) fn is_full(&self) -> bool {
        self.source.sqlite_error_code() == Some(ErrorCode::DiskFull)
    }

    pub(super) fn to_commit_error(&self) -> CommitError {
        if self.is_full() { CommitError::Full } else { CommitError::Unavailable(Box::new(self.clone())) }
    }
}

/// Whether the statement was refused for what it would have written, as a counter that leaves its range is.
pub(super) fn is_refusal(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

/// Why a read failed.
pub(super) fn read_error(error: rusqlite::Error) -> ReadError {
    ReadError::Unavailable(Box::new(error))
}
