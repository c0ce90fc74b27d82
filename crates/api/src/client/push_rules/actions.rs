//! `GET` and `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleidactions>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_notify::Notify;
use ruma::push::Action;
use serde::Deserialize;
use serde_json::{Value, json};

use super::lookup;
use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::object::Segments;

#[derive(Deserialize)]
pub(crate) struct Actions {
    actions: Vec<Action>,
}

pub(crate) async fn get(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Segments([kind, rule_id]): Segments<2>,
) -> Result<Json<Value>, Error> {
    let rule = lookup(&notify, &requester, &kind, &rule_id).await?;
    Ok(Json(json!({ "actions": rule["actions"] })))
}

pub(crate) async fn put(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Segments([kind, rule_id]): Segments<2>,
    Body(Actions { actions }): Body<Actions>,
) -> Result<Json<Value>, Error> {
    notify.set_push_rule_actions(&requester, &kind, &rule_id, &actions).await?;
    Ok(Json(json!({})))
}
