//! `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::Rooms;
use myelin_runtime::Env;
use ruma::api::client::room::get_room_event::v3::Request;
use serde_json::value::RawValue;

use super::viewer;
use crate::Error;
use crate::access::Asks;
use crate::args::Args;

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Json<Box<RawValue>>, Error> {
    Ok(Json(rooms.event(&viewer(requester, &env), &request.room_id, &request.event_id).await?))
}
