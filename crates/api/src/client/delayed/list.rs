//! `GET /_matrix/client/v1/delayed_events/{delayId}` (MSC4140) and the list under its unstable prefix

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::Rooms;
use myelin_store::schema::delayed::DelayedEvent;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Generation;
use crate::Error;
use crate::access::Asks;
use crate::body::Segment;

/// A delayed event with the field names of both generations.
#[derive(Serialize)]
pub(crate) struct Shown {
    delay_id: String,
    room_id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<String>,
    delay_ms: i64,
    delay: i64,
    delayed_since_ts: i64,
    running_since: i64,
    content: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finalised: Option<Finalised>,
}

#[derive(Serialize)]
struct Finalised {
    outcome: &'static str,
    finalised_ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Listed {
    delayed_events: Vec<Shown>,
    finalised_events: Vec<Shown>,
}

pub(crate) async fn all(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
) -> Result<Json<Listed>, Error> {
    let (pending, finalised) = rooms.delayed_events(&requester.user_id).await?;
    let show = |rows: Vec<DelayedEvent>| rows.into_iter().map(shown).collect::<Result<Vec<_>, Error>>();
    Ok(Json(Listed { delayed_events: show(pending)?, finalised_events: show(finalised)? }))
}

pub(crate) async fn one(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Segment(delay_id): Segment,
) -> Result<Json<Shown>, Error> {
    let row = rooms.delayed_event(&requester.user_id, &delay_id).await;
    shown(row.map_err(|error| Generation::Stable.error(error))?).map(Json)
}

fn shown(row: DelayedEvent) -> Result<Shown, Error> {
    let finalised = row.finalised.map(|finalised_ts| Finalised {
        outcome: row.status.as_str(),
        finalised_ts,
        event_id: row.event_id.map(|event_id| event_id.to_string()),
        error: row.error,
    });
    let since = row.due.saturating_sub(row.delay);
    Ok(Shown {
        content: serde_json::from_slice(&row.content).map_err(|error| Error::internal(&error))?,
        delay_id: row.delay_id,
        room_id: row.room_id.to_string(),
        kind: row.kind,
        state_key: row.state_key,
        delay_ms: row.delay,
        delay: row.delay,
        delayed_since_ts: since,
        running_since: since,
        finalised,
    })
}
