//! `POST /_matrix/client/v3/users/{userId}/report`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3usersuseridreport>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::{Reported, Users};
use ruma::OwnedUserId;
use serde_json::{Value, json};

use super::Reason;
use crate::Error;
use crate::access::Asks;
use crate::body::{Body, Segment};
use crate::object::named;

/// Reports a user. Whether there is one is not told.
pub(crate) async fn post(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Segment(user_id): Segment,
    Body(reason): Body<Reason>,
) -> Result<Json<Value>, Error> {
    let user_id: OwnedUserId = named(&user_id, "a user by a user id")?;
    users.report(&requester, Reported::User(user_id), reason.text()).await?;
    Ok(Json(json!({})))
}
