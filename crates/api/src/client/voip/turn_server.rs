//! `GET /_matrix/client/v3/voip/turnServer`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3voipturnserver>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use serde_json::{Value, json};

use crate::access::Asks;

/// Where there is no TURN server the answer is empty, as clients expect it.
pub(crate) async fn get(State(auth): State<Arc<Auth>>, Asks(requester): Asks) -> Json<Value> {
    let Some(turn) = auth.turn_credentials(&requester) else { return Json(json!({})) };
    Json(json!({
        "username": turn.username,
        "password": turn.password.expose(),
        "uris": turn.uris,
        "ttl": turn.lifetime.as_secs(),
    }))
}
