//! `GET /_matrix/client/v3/rooms/{roomId}/messages`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{PageRequest, ReadingError, Rooms, Towards};
use myelin_runtime::Env;
use myelin_sync_core::token::PageToken;
use ruma::api::Direction;
use ruma::api::client::message::get_message_events::v3::Request;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{page_filter, viewer};
use crate::Error;
use crate::access::Asks;
use crate::args::Args;

#[derive(Serialize)]
pub(crate) struct Body {
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    chunk: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    state: Vec<Box<RawValue>>,
}

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Json<Body>, Error> {
    let wanted = PageRequest {
        from: request.from.map(token).transpose()?,
        to: request.to.map(token).transpose()?,
        towards: if request.dir == Direction::Forward { Towards::Future } else { Towards::Past },
        limit: usize::try_from(u64::from(request.limit)).unwrap_or(usize::MAX),
        filter: page_filter(request.filter),
    };
    let page = rooms.messages(&viewer(requester, &env), &request.room_id, &wanted).await?;
    Ok(Json(Body {
        start: page.start.to_string(),
        end: page.end.map(|end| end.to_string()),
        chunk: page.chunk,
        state: page.state,
    }))
}

fn token(text: String) -> Result<PageToken, Error> {
    text.parse().map_err(|_| ReadingError::BadToken(text).into())
}
