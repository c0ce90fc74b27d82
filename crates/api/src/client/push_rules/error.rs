//! Matrix errcodes for what push rules refuse.

use http::StatusCode;
use myelin_notify::{RuleError, RuleProblem};

use crate::Error;

impl From<RuleError> for Error {
    fn from(error: RuleError) -> Self {
        match error {
            RuleError::Refused(problem) => refusal(&problem),
            RuleError::Read(error) => error.into(),
            RuleError::Commit(error) => error.into(),
        }
    }
}

fn refusal(problem: &RuleProblem) -> Error {
    let message = format!("Push rules: {problem}.");
    match problem {
        RuleProblem::NotFound => Error::not_found(message),
        RuleProblem::NoSuchNeighbour(_) => Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message),
        RuleProblem::NoPattern => Error::missing_param(message),
        RuleProblem::TooMany => Error::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", message),
        RuleProblem::UnknownKind
        | RuleProblem::Reserved
        | RuleProblem::BadId
        | RuleProblem::NoSubject
        | RuleProblem::LongPattern
        | RuleProblem::ServerOnly
        | RuleProblem::RelativeToDefault
        | RuleProblem::ServerDefault => Error::invalid_param(message),
    }
}
