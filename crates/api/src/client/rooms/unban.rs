//! `POST /_matrix/client/v3/rooms/{roomId}/unban`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidunban>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::Rooms;
use ruma::api::client::membership::unban_user::v3::{Request, Response};

use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn post(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    let reason = request.reason.as_deref();
    rooms.unban(&requester.user_id, &request.room_id, &request.user_id, reason).await?;
    Ok(Answer(Response::new()))
}
