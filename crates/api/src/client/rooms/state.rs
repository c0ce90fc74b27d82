//! `GET /_matrix/client/v3/rooms/{roomId}/state`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::Rooms;
use myelin_runtime::Env;
use ruma::api::client::state::get_state_events::v3::Request;
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
) -> Result<Json<Vec<Box<RawValue>>>, Error> {
    Ok(Json(rooms.state(&viewer(requester, &env), &request.room_id).await?))
}
