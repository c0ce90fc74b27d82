//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey>

use std::sync::Arc;

use axum::extract::State;
use myelin_rooms::{Draft, Rooms};
use ruma::api::client::state::send_state_event::v3::{Request, Response};

use super::create::canonical;
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn put(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    let draft = Draft {
        sender: requester.user_id,
        kind: request.event_type.to_string(),
        state_key: Some(request.state_key),
        content: canonical(request.body.json())?,
        redacts: None,
    };
    let sent = rooms.send_state(&request.room_id, draft).await?;
    Ok(Answer(Response::new(sent.event_id)))
}
