//! `PUT /_matrix/client/v3/rooms/{roomId}/delayed_event/{eventType}/{txnId}` (MSC4140)

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{Delayed, Rooms};
use ruma::OwnedRoomId;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Generation, Scheduled};
use crate::Error;
use crate::access::Asks;
use crate::args::Path;
use crate::body::Body;
use crate::client::rooms::create::canonical;
use crate::client::rooms::sticky::AskedSticky;

#[derive(Deserialize)]
pub(crate) struct Wanted {
    delay_ms: i64,
    state_key: Option<String>,
    content: Box<RawValue>,
}

pub(crate) async fn put(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    AskedSticky(sticky): AskedSticky,
    Path((room_id, kind, txn_id)): Path<(OwnedRoomId, String, String)>,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Scheduled>, Error> {
    let delayed = Delayed {
        room_id,
        kind,
        state_key: wanted.state_key,
        content: canonical(&wanted.content)?,
        delay: wanted.delay_ms,
        sticky,
        txn_id: Some(txn_id),
    };
    let delay_id = rooms.delay(&requester, delayed).await.map_err(|error| Generation::Stable.error(error))?;
    Ok(Json(Scheduled { delay_id }))
}
