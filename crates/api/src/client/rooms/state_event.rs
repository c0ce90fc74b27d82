//! `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::Rooms;
use myelin_runtime::Env;
use ruma::api::client::state::get_state_event_for_key::v3::{Request, StateEventFormat};

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
    let viewer = viewer(requester, &env);
    let kind = request.event_type.to_string();
    let state = rooms.state_event(&viewer, &request.room_id, &kind, &request.state_key).await?;
    let body = if request.format == StateEventFormat::Event { state.event } else { state.content };
    Ok(RawAnswer(Box::<str>::from(body).into_boxed_bytes().into()))
}
