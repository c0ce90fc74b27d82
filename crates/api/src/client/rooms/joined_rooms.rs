//! `GET /_matrix/client/v3/joined_rooms`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3joined_rooms>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::Rooms;
use ruma::api::client::membership::joined_rooms::v3::Response;

use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
) -> Result<Answer<Response>, Error> {
    Ok(Answer(Response::new(rooms.joined_rooms(&requester.user_id).await?)))
}
