//! `GET /_matrix/client/v3/sync`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync>

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use myelin_sync::Sync;
use myelin_sync::v3::{V3Error, V3Request};
use myelin_users::Users;
use serde::Deserialize;

use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;
use crate::args::Query;
use crate::client::presence::set_presence;

/// What stands in the query.
#[derive(Deserialize)]
pub(crate) struct SyncQuery {
    filter: Option<String>,
    since: Option<String>,
    #[serde(default)]
    full_state: bool,
    /// Milliseconds.
    timeout: Option<u64>,
    set_presence: Option<String>,
    #[serde(default)]
    use_state_after: bool,
    #[serde(default, rename = "org.matrix.msc4222.use_state_after")]
    unstable_use_state_after: bool,
}

pub(crate) async fn get(
    State(sync): State<Arc<Sync>>,
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Query(query): Query<SyncQuery>,
) -> Result<RawAnswer, Error> {
    let request = V3Request {
        // Some clients send an empty token for none.
        since: query.since.filter(|since| !since.is_empty()),
        timeout: query.timeout.map(Duration::from_millis),
        full_state: query.full_state,
        filter: query.filter.filter(|filter| !filter.is_empty()),
        use_state_after: query.use_state_after,
        unstable_use_state_after: query.unstable_use_state_after,
    };
    let _connected = users.presence().connect(&requester, set_presence(query.set_presence.as_deref())?);
    Ok(RawAnswer(sync.v3(&requester, &request).await?))
}

impl From<V3Error> for Error {
    fn from(error: V3Error) -> Self {
        match error {
            V3Error::Read(error) => error.into(),
            // The filter stands in the query, so that no body is wrong.
            V3Error::BadFilter(_) | V3Error::Since(_) | V3Error::UnknownFilter => {
                Self::invalid_param(format!("{error}."))
            }
        }
    }
}
