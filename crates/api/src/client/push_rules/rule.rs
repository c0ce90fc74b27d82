//! `GET`, `PUT` and `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_notify::{NewRule, Notify, Relative};
use serde::Deserialize;
use serde_json::{Value, json};

use super::lookup;
use crate::Error;
use crate::access::Asks;
use crate::args::Query;
use crate::body::Body;
use crate::object::Segments;

/// Where the rule goes among others.
#[derive(Deserialize)]
pub(crate) struct Place {
    before: Option<String>,
    after: Option<String>,
}

pub(crate) async fn get(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Segments([kind, rule_id]): Segments<2>,
) -> Result<Json<Value>, Error> {
    lookup(&notify, &requester, &kind, &rule_id).await.map(Json)
}

pub(crate) async fn put(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Segments([kind, rule_id]): Segments<2>,
    Query(Place { before, after }): Query<Place>,
    Body(rule): Body<NewRule>,
) -> Result<Json<Value>, Error> {
    let relative = Relative { before, after };
    notify.set_push_rule(&requester, &kind, &rule_id, &rule, &relative).await?;
    Ok(Json(json!({})))
}

pub(crate) async fn delete(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
    Segments([kind, rule_id]): Segments<2>,
) -> Result<Json<Value>, Error> {
    notify.delete_push_rule(&requester, &kind, &rule_id).await?;
    Ok(Json(json!({})))
}
