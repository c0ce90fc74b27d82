//! `GET /_myelin/admin/v1/users/{userId}/audit`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{limit, shown, user};
use crate::Error;
use crate::access::Asks;
use crate::args::Query;
use crate::body::Segment;

/// Which part of the log.
#[derive(Debug, Deserialize)]
pub(crate) struct Before {
    /// What comes before this place, as `next` of the page before says it.
    before: Option<i64>,
    limit: Option<usize>,
}

/// Tells what happened to an account, the newest first, and who did it.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(user_id): Segment,
    Query(page): Query<Before>,
) -> Result<Json<Value>, Error> {
    let limit = limit(page.limit)?;
    let entries = auth.audit_for(&requester, &user(user_id)?, page.before, limit).await?;
    let next = entries.last().filter(|_| entries.len() == limit).map(|last| last.pos);
    let listed: Vec<Value> = entries.iter().map(shown::audit).collect();
    Ok(Json(json!({ "entries": listed, "next": next })))
}
