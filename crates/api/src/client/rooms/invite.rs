//! `POST /_matrix/client/v3/rooms/{roomId}/invite`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidinvite>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::{Addressee, Rooms};
use myelin_runtime::Secret;
use ruma::api::client::membership::Invite3pid;
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
    let (user, room_id) = (&requester.user_id, &request.room_id);
    match request.recipient {
        InvitationRecipient::UserId(invitee) => {
            rooms.invite(user, room_id, &invitee.user_id, invitee.reason.as_deref()).await?;
        }
        InvitationRecipient::ThirdPartyId(invitee) => {
            rooms.invite_address(user, room_id, &addressee(invitee), None).await?;
        }
        _ => return Err(Error::missing_param("Name whom to invite: `user_id`, or `medium` and `address`.")),
    }
    Ok(Answer(Response::new()))
}

/// Somebody who is invited by an address.
pub(super) fn addressee(invitee: Invite3pid) -> Addressee {
    Addressee {
        id_server: invitee.id_server,
        id_access_token: Secret::new(invitee.id_access_token),
        medium: invitee.medium.as_str().to_owned(),
        address: invitee.address,
    }
}
