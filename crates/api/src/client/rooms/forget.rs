//! `POST /_matrix/client/v3/rooms/{roomId}/forget`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidforget>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::Rooms;
use ruma::api::client::membership::forget_room::v3::{Request, Response};

use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn post(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    rooms.forget(&requester.user_id, &request.room_id).await?;
    Ok(Answer(Response::new()))
}
