//! `GET /_myelin/admin/v1/clients`, `GET` and `DELETE /_myelin/admin/v1/clients/{clientId}`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Actor, Auth};
use serde_json::{Value, json};

use super::{Page, shown};
use crate::Error;
use crate::access::Asks;
use crate::args::Query;
use crate::body::Segment;

/// Lists the clients that registered themselves, in the order of their ids.
pub(crate) async fn list(
    State(auth): State<Arc<Auth>>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Error> {
    let limit = page.limit()?;
    let clients = auth.oauth_clients(page.after.as_deref(), limit).await?;
    let next = clients.last().filter(|_| clients.len() == limit).map(|last| &last.client_id);
    let listed: Vec<Value> = clients.iter().map(shown::client).collect();
    Ok(Json(json!({ "clients": listed, "next": next })))
}

/// Shows one, with all that it registered.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Segment(client_id): Segment,
) -> Result<Json<Value>, Error> {
    let client = auth.registered_client(&client_id).await?.ok_or_else(unknown)?;
    let mut told = shown::client(&client);
    told["metadata"] = json!(client.metadata.fields());
    Ok(Json(told))
}

/// Removes one, and ends the sessions that were granted to it.
pub(crate) async fn delete(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(client_id): Segment,
) -> Result<Json<Value>, Error> {
    let ended = auth.remove_client(&Actor::from(&requester), &client_id).await?.ok_or_else(unknown)?;
    Ok(Json(json!({ "ended": ended })))
}

fn unknown() -> Error {
    Error::not_found("There is no such client.")
}
