//! `GET` and `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidaccount_datatype>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::Users;
use serde_json::{Value, json};

use super::{nothing_set, room_id};
use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;
use crate::object::{Object, UserPath};

pub(crate) async fn get(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [room, kind]): UserPath<2>,
) -> Result<RawAnswer, Error> {
    let content = users.account_data(&requester, &user_id, Some(&room_id(&room)?), &kind).await?;
    content.map(RawAnswer).ok_or_else(|| nothing_set(&kind))
}

pub(crate) async fn put(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [room, kind]): UserPath<2>,
    Object(content): Object,
) -> Result<Json<Value>, Error> {
    users.set_account_data(&requester, &user_id, Some(&room_id(&room)?), &kind, content).await?;
    Ok(Json(json!({})))
}
