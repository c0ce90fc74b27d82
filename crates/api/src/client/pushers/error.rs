//! Matrix errcodes for what pushers refuse.

use http::StatusCode;
use myelin_notify::{PusherError, PusherProblem};

use crate::Error;
use crate::error::SoftLogout;

impl From<PusherError> for Error {
    fn from(error: PusherError) -> Self {
        match error {
            PusherError::Refused(problem) => refusal(problem),
            PusherError::Read(error) => error.into(),
            PusherError::Commit(error) => error.into(),
            PusherError::Spread(error) => error.into(),
        }
    }
}

fn refusal(problem: PusherProblem) -> Error {
    let message = format!("Pushers: {problem}.");
    match problem {
        PusherProblem::Text(_) | PusherProblem::Url => Error::invalid_param(message),
        PusherProblem::LargeData | PusherProblem::TooMany => {
            Error::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", message)
        }
        PusherProblem::SessionEnded => Error::unknown_token(SoftLogout::No),
    }
}
