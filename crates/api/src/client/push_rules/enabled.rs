//! `GET` and `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidenabled>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_notify::Notify;
use serde::Deserialize;
use serde_json::{Value, json};

use super::lookup;
use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::object::Segments;

#[derive(Deserialize)]
pub(crate) struct Enabled {
    enabled: bool,
}

pub(crate) async fn get(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Segments([kind, rule_id]): Segments<2>,
) -> Result<Json<Value>, Error> {
    let rule = lookup(&notify, &requester, &kind, &rule_id).await?;
    Ok(Json(json!({ "enabled": rule["enabled"] })))
}

pub(crate) async fn put(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Segments([kind, rule_id]): Segments<2>,
    Body(Enabled { enabled }): Body<Enabled>,
) -> Result<Json<Value>, Error> {
    notify.enable_push_rule(&requester, &kind, &rule_id, enabled).await?;
    Ok(Json(json!({})))
}
