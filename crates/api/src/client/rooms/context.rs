//! `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::Rooms;
use myelin_runtime::Env;
use myelin_sync_core::token::PageToken;
use ruma::api::client::context::get_context::v3::Request;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{page_filter, viewer};
use crate::Error;
use crate::access::Asks;
use crate::args::{Args, Query};

/// The most events around the one asked for.
const MOST: usize = 100;

#[derive(Serialize)]
pub(crate) struct Body {
    event: Box<RawValue>,
    events_before: Vec<Box<RawValue>>,
    events_after: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    state: Vec<Box<RawValue>>,
}

/// The part of the query that ruma's types know less of than this server.
#[derive(Deserialize)]
pub(crate) struct Wish {
    filter: Option<String>,
}

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Query(asked): Query<Wish>,
    Args(request): Args<Request>,
) -> Result<Json<Body>, Error> {
    let limit = usize::try_from(u64::from(request.limit)).unwrap_or(MOST).min(MOST);
    let (viewer, filter) = (viewer(requester, &env), page_filter(asked.filter.as_deref())?);
    let found = rooms.context(&viewer, &request.room_id, &request.event_id, limit, &filter).await?;
    let text = |token: Option<PageToken>| token.map(|token| token.to_string());
    Ok(Json(Body {
        event: found.event,
        start: text(found.before.end),
        events_before: found.before.chunk,
        end: text(found.after.end),
        events_after: found.after.chunk,
        state: found.state,
    }))
}
