//! `GET`, `PUT`, `DELETE /_matrix/client/v3/directory/room/{roomAlias}`
//! <https://spec.matrix.org/v1.19/client-server-api/#room-aliases>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::Rooms;
use ruma::api::client::alias::{create_alias, delete_alias, get_alias};

use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;
use crate::{Error, ServerName};

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(server): State<ServerName>,
    Args(request): Args<get_alias::v3::Request>,
) -> Result<Answer<get_alias::v3::Response>, Error> {
    let room_id = rooms.resolve_alias(&request.room_alias).await?;
    let room_id = room_id.ok_or_else(|| {
        Error::not_found(format!("There is no room with the alias {}.", request.room_alias))
    })?;
    Ok(Answer(get_alias::v3::Response::new(room_id, vec![server.0])))
}

pub(crate) async fn put(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<create_alias::v3::Request>,
) -> Result<Answer<create_alias::v3::Response>, Error> {
    rooms.create_alias(&requester.user_id, &request.room_alias, &request.room_id).await?;
    Ok(Answer(create_alias::v3::Response::new()))
}

pub(crate) async fn delete(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<delete_alias::v3::Request>,
) -> Result<Answer<delete_alias::v3::Response>, Error> {
    rooms.delete_alias(&requester.user_id, &request.room_alias, requester.is_admin).await?;
    Ok(Answer(delete_alias::v3::Response::new()))
}
