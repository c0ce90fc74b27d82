//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use myelin_rooms::{Delayed, Draft, Rooms};
use ruma::api::client::state::send_state_event::v3::{Request, Response as Sent};

use super::create::canonical;
use super::sticky::AskedSticky;
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;
use crate::client::delayed::{AskedDelay, Generation, Scheduled};

pub(crate) async fn put(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    AskedDelay(delay): AskedDelay,
    AskedSticky(sticky): AskedSticky,
    Args(request): Args<Request>,
) -> Result<Response, Error> {
    if let Some(delay) = delay {
        let delayed = Delayed {
            room_id: request.room_id,
            kind: request.event_type.to_string(),
            state_key: Some(request.state_key),
            content: canonical(request.body.json())?,
            delay,
            sticky,
            txn_id: None,
        };
        let delayed = rooms.delay(&requester, delayed).await;
        let delay_id = delayed.map_err(|error| Generation::Unstable.error(error))?;
        return Ok(Json(Scheduled { delay_id }).into_response());
    }
    let draft = Draft {
        sender: requester.user_id,
        kind: request.event_type.to_string(),
        state_key: Some(request.state_key),
        content: canonical(request.body.json())?,
        redacts: None,
        sticky,
    };
    let sent = rooms.send_state(&request.room_id, draft).await?;
    Ok(Answer(Sent::new(sent.event_id)).into_response())
}
