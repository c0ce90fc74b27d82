//! `POST /_matrix/client/v3/rooms/{roomId}/invite`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite>

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use myelin_rooms::Rooms;
use ruma::api::client::membership::invite_user::v3::{InvitationRecipient, Request, Response};

use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn post(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    let InvitationRecipient::UserId(invitee) = request.recipient else {
        let message = "This server can't invite people by e-mail address or telephone number.";
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_THREEPID_DENIED", message));
    };
    let reason = invitee.reason.as_deref();
    rooms.invite(&requester.user_id, &request.room_id, &invitee.user_id, reason).await?;
    Ok(Answer(Response::new()))
}
