//! `POST /_matrix/client/v1/delayed_events/{delayId}/{send|cancel|restart}` (MSC4140), the same under its unstable prefix,
//! and the form before that, where the body names the action.
//!
//! Under the unstable prefix whoever knows the id may act, since services that watch over calls do so without a token;
//! ids can't be guessed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{DelayAction, Rooms};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Generation;
use crate::Error;
use crate::access::Asks;
use crate::args::{Path, Whole};
use crate::body::{Unused, parse};

pub(crate) async fn own(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Path((delay_id, name)): Path<(String, String)>,
    _: Unused,
) -> Result<Json<Value>, Error> {
    let action = action(&name).ok_or_else(Error::unrecognized)?;
    let changed = rooms.change_delayed(&delay_id, Some(&requester.user_id), action).await;
    changed.map_err(|error| Generation::Stable.error(error))?;
    Ok(Json(json!({})))
}

pub(crate) async fn by_id(
    State(rooms): State<Arc<Rooms>>,
    Path((delay_id, name)): Path<(String, String)>,
    _: Unused,
) -> Result<Json<Value>, Error> {
    let action = action(&name).ok_or_else(Error::unrecognized)?;
    change(&rooms, &delay_id, action).await
}

#[derive(Deserialize)]
struct Wanted {
    action: Option<String>,
}

pub(crate) async fn by_body(
    State(rooms): State<Arc<Rooms>>,
    Path(delay_id): Path<String>,
    Whole(body): Whole,
) -> Result<Json<Value>, Error> {
    let name = parse::<Wanted>(&body)?.action;
    let name = name.ok_or_else(|| Error::missing_param("`action` is missing."))?;
    let action = action(&name)
        .ok_or_else(|| Error::invalid_param("`action` must be \"send\", \"cancel\" or \"restart\"."))?;
    change(&rooms, &delay_id, action).await
}

async fn change(rooms: &Rooms, delay_id: &str, action: DelayAction) -> Result<Json<Value>, Error> {
    let changed = rooms.change_delayed(delay_id, None, action).await;
    changed.map_err(|error| Generation::Unstable.error(error))?;
    Ok(Json(json!({})))
}

fn action(name: &str) -> Option<DelayAction> {
    match name {
        "send" => Some(DelayAction::Send),
        "cancel" => Some(DelayAction::Cancel),
        "restart" => Some(DelayAction::Restart),
        _ => None,
    }
}
