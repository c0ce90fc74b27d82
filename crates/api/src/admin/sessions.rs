//! `GET` and `DELETE /_myelin/admin/v1/users/{userId}/sessions`, `DELETE /_myelin/admin/v1/users/{userId}/sessions/{deviceId}`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use ruma::OwnedDeviceId;
use serde_json::{Value, json};

use super::{Page, shown, user};
use crate::Error;
use crate::access::Asks;
use crate::args::Query;
use crate::body::Segment;
use crate::object::Segments;

/// Lists them in the order of their devices' ids, with their clients and when they were last seen.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(user_id): Segment,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Error> {
    let (limit, after) = (page.limit()?, page.after.map(OwnedDeviceId::from));
    let sessions = auth.sessions_for(&requester, &user(user_id)?, after.as_ref(), limit).await?;
    let next = sessions.last().filter(|_| sessions.len() == limit).map(|last| &last.info.device_id);
    let listed: Vec<Value> = sessions.iter().map(shown::session).collect();
    Ok(Json(json!({ "sessions": listed, "next": next })))
}

/// Ends one, with its device.
pub(crate) async fn delete(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segments([user_id, device_id]): Segments<2>,
) -> Result<Json<Value>, Error> {
    if auth.end_session_for(&requester, &user(user_id)?, &OwnedDeviceId::from(device_id)).await? {
        Ok(Json(json!({})))
    } else {
        Err(Error::not_found("The user has no such device."))
    }
}

/// Ends all of them, in browsers too.
pub(crate) async fn delete_all(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(user_id): Segment,
) -> Result<Json<Value>, Error> {
    let ended = auth.end_sessions_for(&requester, &user(user_id)?).await?;
    Ok(Json(json!({ "ended": ended })))
}
