//! `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{Rooms, Summary};
use ruma::OwnedRoomOrAliasId;

use super::join::room_id_of;
use crate::Error;
use crate::access::MayAsk;
use crate::body::Segment;

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    MayAsk(requester): MayAsk,
    Segment(room): Segment,
) -> Result<Json<Summary>, Error> {
    let room = OwnedRoomOrAliasId::try_from(room.as_str())
        .map_err(|_| Error::invalid_param(format!("{room:?} is neither a room id nor an alias.")))?;
    let room_id = room_id_of(&rooms, &room).await?;
    let user = requester.map(|requester| requester.user_id);
    Ok(Json(rooms.summary(&room_id, user.as_deref()).await?))
}
