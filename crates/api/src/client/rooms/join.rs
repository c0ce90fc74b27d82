//! `POST /_matrix/client/v3/join/{roomIdOrAlias}` and `POST /_matrix/client/v3/rooms/{roomId}/join`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::{MembershipError, Rooms, SendError};
use ruma::api::client::membership::{join_room_by_id, join_room_by_id_or_alias};
use ruma::{OwnedRoomId, RoomAliasId, RoomId, UserId};

use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn by_id(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<join_room_by_id::v3::Request>,
) -> Result<Answer<join_room_by_id::v3::Response>, Error> {
    join(&rooms, &requester.user_id, &request.room_id, request.reason.as_deref()).await?;
    Ok(Answer(join_room_by_id::v3::Response::new(request.room_id)))
}

pub(crate) async fn by_id_or_alias(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<join_room_by_id_or_alias::v3::Request>,
) -> Result<Answer<join_room_by_id_or_alias::v3::Response>, Error> {
    let room_id = match <&RoomId>::try_from(&*request.room_id_or_alias) {
        Ok(room_id) => room_id.to_owned(),
        Err(alias) => resolve(&rooms, alias).await?,
    };
    join(&rooms, &requester.user_id, &room_id, request.reason.as_deref()).await?;
    Ok(Answer(join_room_by_id_or_alias::v3::Response::new(room_id)))
}

async fn resolve(rooms: &Rooms, alias: &RoomAliasId) -> Result<OwnedRoomId, Error> {
    let room_id = rooms.resolve_alias(alias).await?;
    room_id.ok_or_else(|| Error::not_found(format!("There is no room with the alias {alias}.")))
}

async fn join(rooms: &Rooms, user: &UserId, room_id: &RoomId, reason: Option<&str>) -> Result<(), Error> {
    match rooms.join(user, room_id, reason).await {
        Ok(()) => Ok(()),
        Err(MembershipError::Send(SendError::NoSuchRoom)) => {
            Err(Error::not_found("This server does not know the room and no other server can be asked."))
        }
        Err(error) => Err(error.into()),
    }
}
