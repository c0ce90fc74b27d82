//! `GET /_matrix/client/v3/rooms/{roomId}/members`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::{MemberFilter, ReadingError, Rooms};
use myelin_runtime::Env;
use myelin_store::schema::rooms::Membership;
use myelin_timeline::ClientEvents;
use ruma::api::client::membership::get_member_events::v3::Request;
use ruma::events::room::member::MembershipState;
use serde::Serialize;

use super::viewer;
use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;
use crate::args::Args;

#[derive(Serialize)]
struct Body {
    chunk: ClientEvents<'static>,
}

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<RawAnswer, Error> {
    let filter = MemberFilter {
        membership: request.membership.map(membership).transpose()?,
        not_membership: request.not_membership.map(membership).transpose()?,
        at: request.at.map(|at| at.parse().map_err(|_| ReadingError::BadToken(at))).transpose()?,
    };
    let chunk = rooms.members(&viewer(requester, &env), &request.room_id, &filter).await?;
    RawAnswer::of_size(chunk.size(), &Body { chunk })
}

fn membership(wanted: MembershipState) -> Result<Membership, Error> {
    match wanted {
        MembershipState::Join => Ok(Membership::Join),
        MembershipState::Invite => Ok(Membership::Invite),
        MembershipState::Knock => Ok(Membership::Knock),
        MembershipState::Leave => Ok(Membership::Leave),
        MembershipState::Ban => Ok(Membership::Ban),
        other => Err(Error::invalid_param(format!("There is no membership {:?}.", other.as_str()))),
    }
}
