//! `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobalkindruleid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_notify::Notify;
use serde_json::Value;

use super::lookup;
use crate::Error;
use crate::access::Asks;
use crate::object::Segments;

pub(crate) async fn get(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Segments([kind, rule_id]): Segments<2>,
) -> Result<Json<Value>, Error> {
    lookup(&notify, &requester, &kind, &rule_id).await.map(Json)
}
