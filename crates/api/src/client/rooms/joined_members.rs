//! `GET /_matrix/client/v3/rooms/{roomId}/joined_members`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidjoined_members>

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::Rooms;
use ruma::OwnedUserId;
use ruma::api::client::membership::joined_members::v3::Request;
use serde::Serialize;

use crate::Error;
use crate::access::Asks;
use crate::args::Args;

#[derive(Serialize)]
pub(crate) struct Body {
    joined: BTreeMap<OwnedUserId, Shown>,
}

/// Both keys are always there, since clients look for them; `null` where the user has none.
#[derive(Serialize)]
struct Shown {
    display_name: Option<String>,
    avatar_url: Option<String>,
}

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Json<Body>, Error> {
    let members = rooms.joined_members(&requester.user_id, &request.room_id).await?;
    let shown = members.into_iter().map(|member| {
        (member.user_id, Shown { display_name: member.display_name, avatar_url: member.avatar_url })
    });
    Ok(Json(Body { joined: shown.collect() }))
}
