//! `GET /_matrix/client/v1/rooms/{roomId}/threads`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidthreads>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{Include, ReadingError, Rooms};
use myelin_runtime::Env;
use ruma::api::client::threads::get_threads::v1::{IncludeThreads, Request};
use serde::Serialize;
use serde_json::value::RawValue;

use super::viewer;
use crate::Error;
use crate::access::Asks;
use crate::args::Args;

/// How many threads a page holds where the client does not say.
const USUAL_LIMIT: u64 = 20;

#[derive(Serialize)]
pub(crate) struct Body {
    chunk: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
}

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Json<Body>, Error> {
    let include = match request.include {
        IncludeThreads::All => Include::All,
        IncludeThreads::Participated => Include::Participated,
        other => return Err(Error::invalid_param(format!("`include` can't be {:?}.", other.as_str()))),
    };
    let from = request.from.map(|from| from.parse().map_err(|_| ReadingError::BadToken(from))).transpose()?;
    let limit = request.limit.map_or(USUAL_LIMIT, u64::from);
    if limit == 0 {
        return Err(Error::invalid_param("`limit` must be greater than 0."));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = rooms.threads(&viewer(requester, &env), &request.room_id, include, from, limit).await?;
    Ok(Json(Body { chunk: page.chunk, next_batch: page.next.map(|next| next.to_string()) }))
}
