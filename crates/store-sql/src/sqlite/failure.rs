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

/// How many commits in a row must go well until a full disk is news again: next to a large batch that fails, a small
/// one may still find room.
const CALM: u32 = 32;

/// Tells of a full disk once, not with every commit that fails for it.
#[derive(Debug, Default)]
pub(super) struct FullDisk {
    /// How many commits must still go well until it is over. 0: there is room.
    calm: u32,
}

impl FullDisk {
    /// A commit failed for want of space. Whether that is news.
    pub(super) fn is_news(&mut self) -> bool {
        std::mem::replace(&mut self.calm, CALM) == 0
    }

    /// A commit went well. Whether the disk was full, and that is over now.
    pub(super) fn is_over(&mut self) -> bool {
        let was = self.calm;
        self.calm = was.saturating_sub(1);
        was == 1
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

#[cfg(test)]
mod tests {
    use super::{CALM, FullDisk};

    #[test]
    fn a_full_disk_is_told_once_and_again_after_a_calm() {
        let mut disk = FullDisk::default();
        assert!(!disk.is_over(), "it never was full");
        assert!(disk.is_news());
        for _ in 0..100 {
            assert!(!disk.is_over(), "a small commit found room");
            assert!(!disk.is_news());
        }
        for _ in 1..CALM {
            assert!(!disk.is_over());
        }
        assert!(disk.is_over());
        assert!(!disk.is_over());
        assert!(disk.is_news());
    }
}
