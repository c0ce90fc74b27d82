//! `GET /_matrix/client/v3/pushrules/global/`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobal>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_notify::Notify;
use serde_json::Value;

use crate::Error;
use crate::access::Asks;

pub(crate) async fn get(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
) -> Result<Json<Value>, Error> {
    Ok(Json(notify.push_rules(&requester).await?.global()))
}
