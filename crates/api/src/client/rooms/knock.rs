//! `POST /_matrix/client/v3/knock/{roomIdOrAlias}`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::Rooms;
use ruma::api::client::knock::knock_room::v3::{Request, Response};

use super::join::{not_known, room_id_of};
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn post(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    let room_id = room_id_of(&rooms, &request.room_id_or_alias).await?;
    let knocked = rooms.knock(&requester.user_id, &room_id, request.reason.as_deref()).await;
    knocked.map_err(not_known)?;
    Ok(Answer(Response::new(room_id)))
}
