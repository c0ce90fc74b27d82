//! `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`, with and without a type of relation and of event
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidrelationseventid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{RECURSION_DEPTH, ReadingError, RelationRequest, Rooms, Towards};
use myelin_runtime::Env;
use myelin_sync_core::token::PageToken;
use ruma::api::Direction;
use ruma::api::client::relations::{
    get_relating_events, get_relating_events_with_rel_type, get_relating_events_with_rel_type_and_event_type,
};
use ruma::{OwnedEventId, OwnedRoomId, UInt};
use serde::Serialize;
use serde_json::value::RawValue;

use super::viewer;
use crate::Error;
use crate::access::Asks;
use crate::args::Args;

/// How many events a page holds where the client does not say.
const USUAL_LIMIT: u64 = 5;

#[derive(Serialize)]
pub(crate) struct Body {
    chunk: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recursion_depth: Option<u32>,
}

/// What the three endpoints have in common.
struct Wanted {
    room_id: OwnedRoomId,
    event_id: OwnedEventId,
    rel_type: Option<String>,
    event_type: Option<String>,
    from: Option<String>,
    to: Option<String>,
    dir: Direction,
    limit: Option<UInt>,
    recurse: bool,
}

pub(crate) async fn all(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Args(request): Args<get_relating_events::v1::Request>,
) -> Result<Json<Body>, Error> {
    let get_relating_events::v1::Request { room_id, event_id, from, to, dir, limit, recurse, .. } = request;
    let wanted =
        Wanted { room_id, event_id, rel_type: None, event_type: None, from, to, dir, limit, recurse };
    answer(&rooms, &viewer(requester, &env), wanted).await
}

pub(crate) async fn of_rel_type(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Args(request): Args<get_relating_events_with_rel_type::v1::Request>,
) -> Result<Json<Body>, Error> {
    let get_relating_events_with_rel_type::v1::Request {
        room_id,
        event_id,
        rel_type,
        from,
        to,
        dir,
        limit,
        recurse,
        ..
    } = request;
    let rel_type = Some(rel_type.to_string());
    let wanted = Wanted { room_id, event_id, rel_type, event_type: None, from, to, dir, limit, recurse };
    answer(&rooms, &viewer(requester, &env), wanted).await
}

pub(crate) async fn of_event_type(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Args(request): Args<get_relating_events_with_rel_type_and_event_type::v1::Request>,
) -> Result<Json<Body>, Error> {
    let get_relating_events_with_rel_type_and_event_type::v1::Request {
        room_id,
        event_id,
        rel_type,
        event_type,
        from,
        to,
        dir,
        limit,
        recurse,
        ..
    } = request;
    let (rel_type, event_type) = (Some(rel_type.to_string()), Some(event_type.to_string()));
    let wanted = Wanted { room_id, event_id, rel_type, event_type, from, to, dir, limit, recurse };
    answer(&rooms, &viewer(requester, &env), wanted).await
}

async fn answer(
    rooms: &Rooms,
    viewer: &myelin_timeline::Viewer,
    wanted: Wanted,
) -> Result<Json<Body>, Error> {
    let limit = wanted.limit.map_or(USUAL_LIMIT, u64::from);
    if limit == 0 {
        return Err(Error::invalid_param("`limit` must be greater than 0."));
    }
    let request = RelationRequest {
        rel_type: wanted.rel_type,
        event_type: wanted.event_type,
        from: wanted.from.as_deref().map(token).transpose()?,
        to: wanted.to.as_deref().map(token).transpose()?,
        towards: if wanted.dir == Direction::Forward { Towards::Future } else { Towards::Past },
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        recurse: wanted.recurse,
    };
    let page = rooms.relations(viewer, &wanted.room_id, &wanted.event_id, &request).await?;
    Ok(Json(Body {
        chunk: page.chunk,
        next_batch: page.next.map(|next| next.to_string()),
        prev_batch: wanted.from,
        recursion_depth: wanted.recurse.then_some(RECURSION_DEPTH),
    }))
}

fn token(text: &str) -> Result<PageToken, Error> {
    text.parse().map_err(|_| ReadingError::BadToken(text.to_owned()).into())
}
