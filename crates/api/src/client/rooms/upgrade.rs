//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use myelin_rooms::Rooms;
use ruma::{OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::access::Asks;
use crate::body::{Body, Segment};

#[derive(Deserialize)]
pub(crate) struct Wanted {
    new_version: String,
    #[serde(default)]
    additional_creators: Vec<OwnedUserId>,
}

#[derive(Serialize)]
pub(crate) struct Replaced {
    replacement_room: OwnedRoomId,
}

pub(crate) async fn post(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Segment(room_id): Segment,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Replaced>, Error> {
    let room_id = OwnedRoomId::try_from(room_id.as_str())
        .map_err(|_| Error::invalid_param(format!("{room_id:?} is no room id.")))?;
    let version = wanted.new_version.parse().map_err(|_| {
        let message = format!("This server knows no room version {:?}.", wanted.new_version);
        Error::new(StatusCode::BAD_REQUEST, "M_UNSUPPORTED_ROOM_VERSION", message)
    })?;
    let user = &requester.user_id;
    let replacement_room = rooms.upgrade(user, &room_id, version, &wanted.additional_creators).await?;
    Ok(Json(Replaced { replacement_room }))
}
