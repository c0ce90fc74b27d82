//! `POST /_matrix/client/v3/rooms/{roomId}/report`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreport>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::{Reported, Users};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use super::Reason;
use crate::Error;
use crate::access::Asks;
use crate::body::{Body, Segment};
use crate::object::named;

/// Reports a room. Whether there is one is not told.
pub(crate) async fn post(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Segment(room_id): Segment,
    Body(reason): Body<Reason>,
) -> Result<Json<Value>, Error> {
    let room_id: OwnedRoomId = named(&room_id, "a room by a room id")?;
    users.report(&requester, Reported::Room(room_id), reason.text()).await?;
    Ok(Json(json!({})))
}
