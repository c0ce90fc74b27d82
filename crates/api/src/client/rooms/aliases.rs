//! `GET /_matrix/client/v3/rooms/{roomId}/aliases`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::Rooms;
use ruma::api::client::room::aliases::v3::{Request, Response};

use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    Ok(Answer(Response::new(rooms.aliases(&requester.user_id, &request.room_id).await?)))
}
