//! `GET /_myelin/admin/v1/users/{userId}/connections`, `DELETE /_myelin/admin/v1/users/{userId}/connections/{providerId}`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use serde_json::{Value, json};

use super::{shown, user};
use crate::Error;
use crate::access::Asks;
use crate::body::Segment;
use crate::object::Segments;

/// Lists a user's accounts at providers, and who they are in the directory; there is one at each.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(user_id): Segment,
) -> Result<Json<Value>, Error> {
    let connections = auth.connections_for(&requester, &user(user_id)?).await?;
    let listed: Vec<Value> = connections.iter().map(shown::connection).collect();
    Ok(Json(json!({ "connections": listed })))
}

/// Takes one away, be it the last way to sign in.
pub(crate) async fn delete(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segments([user_id, provider]): Segments<2>,
) -> Result<Json<Value>, Error> {
    if auth.disconnect_for(&requester, &user(user_id)?, &provider).await? {
        Ok(Json(json!({})))
    } else {
        Err(Error::not_found("The user is not connected with this provider."))
    }
}
