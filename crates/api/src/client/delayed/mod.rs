//! Delayed events (MSC4140), in the form that was accepted and in the two that clients spoke before.

pub(crate) mod list;
pub(crate) mod manage;
pub(crate) mod schedule;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use myelin_rooms::{DelayError, MAX_DELAY};
use serde::Serialize;

use crate::Error;

/// The query parameter by which older clients ask for a delay on `/send` and `/state`, in milliseconds. A server that
/// passes over it sends the end of a call at its beginning.
const PARAMETER: &str = "org.matrix.msc4140.delay";

/// The answer to a scheduled event.
#[derive(Serialize)]
pub(crate) struct Scheduled {
    pub(crate) delay_id: String,
}

/// The delay that the query asks for.
pub(crate) struct AskedDelay(pub(crate) Option<i64>);

impl<S: Sync> FromRequestParts<S> for AskedDelay {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let query = parts.uri.query().unwrap_or_default();
        let asked = query.split('&').find_map(|pair| pair.strip_prefix(PARAMETER)?.strip_prefix('='));
        let delay = asked.map(|delay| {
            delay.parse().map_err(|_| Error::invalid_param("The delay is not a number of milliseconds."))
        });
        Ok(Self(delay.transpose()?))
    }
}

/// Which generation of clients an error is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generation {
    /// The accepted form.
    Stable,
    /// The forms before it, whose errcodes stand in a field of their own.
    Unstable,
}

impl Generation {
    /// A delayed event's error in the words of this generation.
    pub(crate) fn error(self, error: DelayError) -> Error {
        match (error, self) {
            (DelayError::OutOfRange, Self::Unstable) => {
                let error = DelayError::OutOfRange;
                Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", format!("Not delayed: {error}."))
                    .with("org.matrix.msc4140.errcode", "M_MAX_DELAY_EXCEEDED")
                    .with("org.matrix.msc4140.max_delay", MAX_DELAY)
            }
            (error @ DelayError::OutOfRange, Self::Stable) => {
                Error::forbidden(format!("Not delayed: {error}."))
            }
            (DelayError::TooMany, Self::Unstable) => {
                let error = DelayError::TooMany;
                Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", format!("Not delayed: {error}."))
                    .with("org.matrix.msc4140.errcode", "M_MAX_DELAYED_EVENTS_EXCEEDED")
            }
            (DelayError::TooMany, Self::Stable) => Error::limit_exceeded(std::time::Duration::from_secs(10)),
            (DelayError::NotFound, _) => Error::not_found("There is no such delayed event."),
            (error @ DelayError::Finalised(_), _) => {
                Error::new(StatusCode::CONFLICT, "M_UNKNOWN", format!("Too late: {error}."))
            }
            (DelayError::Send(error), _) => error.into(),
        }
    }
}
