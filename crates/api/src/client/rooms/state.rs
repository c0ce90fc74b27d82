//! `GET /_matrix/client/v3/rooms/{roomId}/state`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::Rooms;
use myelin_runtime::Env;
use ruma::api::client::state::get_state_events::v3::Request;

use super::viewer;
use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;
use crate::args::Args;

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<RawAnswer, Error> {
    let state = rooms.state(&viewer(requester, &env), &request.room_id).await?;
    RawAnswer::of_size(state.size(), &state)
}
