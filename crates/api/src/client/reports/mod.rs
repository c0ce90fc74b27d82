//! What users report to the server's administrators
//! (<https://spec.matrix.org/v1.19/client-server-api/#reporting-content>).

pub(crate) mod event;
pub(crate) mod room;
pub(crate) mod user;

use std::time::Duration;

use myelin_users::{MAX_REASON, ReportError};
use serde::Deserialize;

use crate::Error;

/// Why a room or a user is reported; it may be blank.
#[derive(Deserialize)]
pub(crate) struct Reason {
    reason: String,
}

impl Reason {
    fn text(self) -> Option<String> {
        Some(self.reason).filter(|reason| !reason.is_empty())
    }
}

impl From<ReportError> for Error {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::TooLong => {
                Self::invalid_param(format!("The reason is too long: it may have {MAX_REASON} bytes."))
            }
            // An administrator has to look at some first.
            ReportError::TooMany | ReportError::Full => Self::limit_exceeded(Duration::from_secs(3_600)),
            ReportError::Read(error) => error.into(),
            ReportError::Commit(error) => error.into(),
        }
    }
}
