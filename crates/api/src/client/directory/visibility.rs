//! `GET` and `PUT /_matrix/client/v3/directory/list/room/{roomId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::{Rooms, Visibility};
use ruma::api::client::directory::{get_room_visibility, set_room_visibility};
use ruma::api::client::room::Visibility as Listed;

use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    Args(request): Args<get_room_visibility::v3::Request>,
) -> Result<Answer<get_room_visibility::v3::Response>, Error> {
    let listed = match rooms.visibility(&request.room_id).await? {
        Visibility::Public => Listed::Public,
        Visibility::Private => Listed::Private,
    };
    Ok(Answer(get_room_visibility::v3::Response::new(listed)))
}

pub(crate) async fn put(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<set_room_visibility::v3::Request>,
) -> Result<Answer<set_room_visibility::v3::Response>, Error> {
    let visibility = match request.visibility {
        Listed::Public => Visibility::Public,
        Listed::Private => Visibility::Private,
        other => return Err(Error::invalid_param(format!("There is no visibility {:?}.", other.as_str()))),
    };
    let admin = requester.is_admin;
    rooms.set_visibility(&requester.user_id, &request.room_id, visibility, admin).await?;
    Ok(Answer(set_room_visibility::v3::Response::new()))
}
