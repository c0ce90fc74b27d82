//! `GET` and `PUT /_matrix/client/v3/user/{userId}/account_data/{type}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype>
//!
//! `DELETE /_matrix/client/unstable/org.matrix.msc3391/user/{userId}/account_data/{type}`
//! <https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/3391-account-data-delete.md>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::Users;
use serde_json::{Value, json};

use super::nothing_set;
use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;
use crate::object::{Object, UserPath};

pub(crate) async fn get(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [kind]): UserPath<1>,
) -> Result<RawAnswer, Error> {
    let content = users.account_data(&requester, &user_id, None, &kind).await?;
    content.map(RawAnswer).ok_or_else(|| nothing_set(&kind))
}

pub(crate) async fn put(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [kind]): UserPath<1>,
    Object(content): Object,
) -> Result<Json<Value>, Error> {
    users.set_account_data(&requester, &user_id, None, &kind, content).await?;
    Ok(Json(json!({})))
}

/// MSC3391.
pub(crate) async fn delete(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [kind]): UserPath<1>,
) -> Result<Json<Value>, Error> {
    users.delete_account_data(&requester, &user_id, None, &kind).await?;
    Ok(Json(json!({})))
}
