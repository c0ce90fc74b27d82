//! `GET /_matrix/client/v3/devices`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use serde_json::{Value, json};

use super::shown;
use crate::Error;
use crate::access::Asks;

/// Lists the devices of who asks.
pub(crate) async fn get(State(auth): State<Arc<Auth>>, Asks(requester): Asks) -> Result<Json<Value>, Error> {
    let devices: Vec<Value> = auth.devices(&requester).await?.into_iter().map(shown).collect();
    Ok(Json(json!({ "devices": devices })))
}
