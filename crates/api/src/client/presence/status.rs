//! `GET` and `PUT /_matrix/client/v3/presence/{userId}/status`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3presenceuseridstatus>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::{PresenceState, Users};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::client::presence::no_state;
use crate::object::UserPath;

#[derive(Serialize)]
pub(crate) struct Status {
    presence: &'static str,
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active_ago: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_msg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currently_active: Option<bool>,
}

pub(crate) async fn get(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, []): UserPath<0>,
) -> Result<Json<Status>, Error> {
    let presence = users.presence_of(&requester, &user_id).await?;
    let millis = |ago: std::time::Duration| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(Status {
        presence: presence.state.as_str(),
        last_active_ago: presence.last_active_ago.map(millis),
        status_msg: presence.status_msg,
        currently_active: presence.currently_active,
    }))
}

#[derive(Deserialize)]
pub(crate) struct StatusBody {
    presence: String,
    status_msg: Option<String>,
}

pub(crate) async fn put(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, []): UserPath<0>,
    Body(body): Body<StatusBody>,
) -> Result<Json<Value>, Error> {
    let state = PresenceState::parse(&body.presence).ok_or_else(no_state)?;
    users.set_presence(&requester, &user_id, state, body.status_msg)?;
    Ok(Json(json!({})))
}
