//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid>

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use myelin_users::{IsTyping, Users};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::object::{Segments, named};

#[derive(Deserialize)]
pub(crate) struct TypingBody {
    typing: bool,
    /// Milliseconds.
    timeout: Option<u64>,
}

pub(crate) async fn put(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Segments([room_id, user_id]): Segments<2>,
    Body(body): Body<TypingBody>,
) -> Result<Json<Value>, Error> {
    let room_id: OwnedRoomId = named(&room_id, "a room by a room id")?;
    let user_id: OwnedUserId = named(&user_id, "a user by a user id")?;
    let is_typing =
        if body.typing { IsTyping::For(body.timeout.map(Duration::from_millis)) } else { IsTyping::No };
    users.set_typing(&requester, &user_id, &room_id, is_typing).await?;
    Ok(Json(json!({})))
}
