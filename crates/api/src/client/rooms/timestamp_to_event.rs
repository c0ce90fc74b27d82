//! `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{Rooms, Towards};
use myelin_runtime::Env;
use ruma::OwnedEventId;
use ruma::api::Direction;
use ruma::api::client::room::get_event_by_timestamp::v1::Request;
use serde::Serialize;

use super::viewer;
use crate::Error;
use crate::access::Asks;
use crate::args::Args;

#[derive(Serialize)]
pub(crate) struct Found {
    event_id: OwnedEventId,
    origin_server_ts: i64,
}

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Json<Found>, Error> {
    let towards = if request.dir == Direction::Forward { Towards::Future } else { Towards::Past };
    let ts = i64::from(request.ts.get());
    let viewer = viewer(requester, &env);
    let (event_id, origin_server_ts) = rooms.event_at(&viewer, &request.room_id, ts, towards).await?;
    Ok(Json(Found { event_id, origin_server_ts }))
}
