//! `POST /_matrix/client/unstable/org.matrix.simplified_msc3575/sync`
//! <https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md>, in the
//! form that clients spoke before it was merged.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::StatusCode;
use myelin_sync::Sync;
use myelin_sync::sliding::SlidingError;
use myelin_sync::sliding::request::SlidingRequest;
use myelin_users::Users;
use serde::Deserialize;

use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;
use crate::args::{Query, Whole};
use crate::client::presence::set_presence;

/// What stands in the query.
#[derive(Deserialize)]
pub(crate) struct SlidingQuery {
    pos: Option<String>,
    /// Milliseconds.
    timeout: Option<u64>,
    set_presence: Option<String>,
}

pub(crate) async fn post(
    State(sync): State<Arc<Sync>>,
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Query(query): Query<SlidingQuery>,
    Whole(body): Whole,
) -> Result<RawAnswer, Error> {
    let request = Box::new(parse(&body)?);
    // While it waits, a request keeps no memory that the connection could read the next one into.
    drop(body);
    let timeout = query.timeout.map(Duration::from_millis);
    let _connected = users.presence().connect(&requester, set_presence(query.set_presence.as_deref())?);
    Ok(RawAnswer(sync.sliding(&requester, request, query.pos.as_deref(), timeout).await?))
}

/// An empty body asks for nothing, which is allowed.
fn parse(body: &[u8]) -> Result<SlidingRequest, Error> {
    if body.is_empty() {
        return Ok(SlidingRequest::default());
    }
    crate::body::parse(body)
}

impl From<SlidingError> for Error {
    fn from(error: SlidingError) -> Self {
        match error {
            SlidingError::UnknownPos(_) => {
                let message = "The pos is unknown or has expired; start again without one.";
                Self::new(StatusCode::BAD_REQUEST, "M_UNKNOWN_POS", message)
            }
            SlidingError::Read(error) => error.into(),
            SlidingError::Invalid(_)
            | SlidingError::Token(_)
            | SlidingError::Limit
            | SlidingError::ConnId => Self::invalid_param(format!("{error}.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_is_not_json_is_told_from_json_of_another_form() {
        let errcode = |body: &[u8]| parse(body).map(drop).map_err(|error| error.errcode());
        assert_eq!(errcode(b"{\"lists\":"), Err("M_NOT_JSON"));
        assert_eq!(errcode(b"{\"lists\":7}"), Err("M_BAD_JSON"));
        assert_eq!(errcode(b"{\"lists\":{\"a\":{\"ranges\":[[-1,2]]}}}"), Err("M_BAD_JSON"));
        assert_eq!(errcode(b"{}"), Ok(()));
        assert_eq!(errcode(b""), Ok(()));
    }
}
