//! `GET` and `PUT /_matrix/client/v1/admin/suspend/{userId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminsuspenduserid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, Suspension};
use serde::Deserialize;
use serde_json::{Value, json};

use super::lock::parse;
use crate::Error;
use crate::access::Asks;
use crate::body::{Body, Segment};

/// Whether to suspend.
#[derive(Deserialize)]
pub(crate) struct SuspendBody {
    suspended: bool,
}

/// Tells whether a user is suspended.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(user_id): Segment,
) -> Result<Json<Value>, Error> {
    let suspension = auth.suspension_of(&requester, &parse(user_id)?).await?;
    Ok(Json(json!({ "suspended": suspension == Suspension::Suspended })))
}

/// Suspends a user, or ends that.
pub(crate) async fn put(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(user_id): Segment,
    Body(body): Body<SuspendBody>,
) -> Result<Json<Value>, Error> {
    let suspension = if body.suspended { Suspension::Suspended } else { Suspension::Active };
    auth.set_suspension(&requester, &parse(user_id)?, suspension).await?;
    Ok(Json(json!({ "suspended": body.suspended })))
}
