//! `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreporteventid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use myelin_rooms::{ReadingError, Rooms};
use myelin_runtime::Env;
use myelin_users::{Reported, Users};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::client::rooms::viewer;
use crate::object::{Segments, named};

/// Why an event is reported.
#[derive(Deserialize)]
pub(crate) struct ReportBody {
    reason: Option<String>,
}

/// Reports an event of a room that the reporter is in. What they don't see is, for them, not there.
pub(crate) async fn post(
    State(env): State<Env>,
    State(rooms): State<Arc<Rooms>>,
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Segments([room_id, event_id]): Segments<2>,
    Body(body): Body<ReportBody>,
) -> Result<Json<Value>, Error> {
    let room_id: OwnedRoomId = named(&room_id, "a room by a room id")?;
    let event_id: OwnedEventId = named(&event_id, "an event by an event id")?;
    let seen = rooms.event_of_joined(&viewer(requester.clone(), &env), &room_id, &event_id).await;
    let event = seen.map_err(|error| match error {
        ReadingError::Read(error) => error.into(),
        _ => Error::not_found("There is no such event, or you are not in its room."),
    })?;
    let event = Bytes::copy_from_slice(event.get().as_bytes());
    users.report(&requester, Reported::Event { room_id, event_id, event }, body.reason).await?;
    Ok(Json(json!({})))
}
