//! `GET /.well-known/matrix/client`
//! <https://spec.matrix.org/v1.19/client-server-api/#getwell-knownmatrixclient>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use serde_json::{Value, json};

/// Where clients that know only the server's name find it. Served where the name itself leads here.
pub(crate) async fn get(State(auth): State<Arc<Auth>>) -> Json<Value> {
    Json(json!({ "m.homeserver": { "base_url": auth.config().public_url } }))
}
