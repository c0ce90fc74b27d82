//! `POST /_matrix/client/v3/rooms/{roomId}/kick`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidkick>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::Rooms;
use serde_json::{Value, json};

use super::removal::Wanted;
use crate::Error;
use crate::access::Asks;
use crate::body::{Body, Segment};
use crate::object::named;

pub(crate) async fn post(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Segment(room_id): Segment,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Value>, Error> {
    let room_id = named::<ruma::OwnedRoomId>(&room_id, "a room by a room id")?;
    rooms.kick(&requester.user_id, &room_id, &wanted.user_id, wanted.how()).await?;
    Ok(Json(json!({})))
}
