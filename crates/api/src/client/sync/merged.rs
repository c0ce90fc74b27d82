//! `POST /_matrix/client/v4/sync`
//! <https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/4186-simplified-sliding-sync.md>

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use myelin_sync::Sync;
use myelin_sync::sliding::merged::{MergedError, MergedRequest};
use myelin_users::Users;

use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;
use crate::args::Whole;
use crate::client::presence::set_presence;

pub(crate) async fn post(
    State(sync): State<Arc<Sync>>,
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Whole(body): Whole,
) -> Result<RawAnswer, Error> {
    let mut request: MergedRequest = crate::body::parse(&body)?;
    // As in the live dialect: what waits keeps little.
    drop(body);
    let timeout = request.timeout.map(Duration::from_millis);
    let pos = request.pos.take();
    let presence = set_presence(request.set_presence.as_deref())?;
    let request = request.translate()?;
    let _connected = users.presence().connect(&requester, presence);
    Ok(RawAnswer(sync.sliding(&requester, Box::new(request), pos.as_deref(), timeout).await?))
}

impl From<MergedError> for Error {
    fn from(error: MergedError) -> Self {
        match error {
            MergedError::Extension(error) => Self::bad_json(format!("An extension: {error}.")),
            MergedError::Invalid(_) | MergedError::Subscriptions | MergedError::ListKey => {
                Self::invalid_param(format!("{error}."))
            }
        }
    }
}
