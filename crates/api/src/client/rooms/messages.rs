//! `GET /_matrix/client/v3/rooms/{roomId}/messages`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{PageRequest, ReadingError, Rooms, Towards};
use myelin_runtime::Env;
use myelin_sync_core::token::PageToken;
use ruma::OwnedRoomId;
use ruma::api::Direction;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{page_filter, viewer};
use crate::Error;
use crate::access::Asks;
use crate::args::Query;
use crate::body::Segment;

#[derive(Serialize)]
pub(crate) struct Body {
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
    chunk: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    state: Vec<Box<RawValue>>,
}

/// What stands in the query. The spec wants `dir`; who leaves it out means forwards, as other servers have it.
#[derive(Deserialize)]
pub(crate) struct Wish {
    from: Option<String>,
    to: Option<String>,
    dir: Option<Direction>,
    limit: Option<u64>,
    filter: Option<String>,
}

/// How many events a page holds where the client does not say.
const USUAL_LIMIT: u64 = 10;

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Segment(room_id): Segment,
    Query(asked): Query<Wish>,
) -> Result<Json<Body>, Error> {
    let room_id = OwnedRoomId::try_from(room_id.as_str())
        .map_err(|_| Error::invalid_param(format!("{room_id:?} is no room id.")))?;
    let wanted = PageRequest {
        from: asked.from.map(token).transpose()?,
        to: asked.to.map(token).transpose()?,
        towards: if asked.dir == Some(Direction::Backward) { Towards::Past } else { Towards::Future },
        limit: usize::try_from(asked.limit.unwrap_or(USUAL_LIMIT)).unwrap_or(usize::MAX),
        filter: page_filter(asked.filter.as_deref())?,
    };
    let page = rooms.messages(&viewer(requester, &env), &room_id, &wanted).await?;
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
