//! `PUT` and `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::Users;
use serde_json::value::RawValue;
use serde_json::{Value, from_slice, json};

use super::room_id;
use crate::Error;
use crate::access::Asks;
use crate::object::{Object, UserPath};

pub(crate) async fn put(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [room, tag]): UserPath<2>,
    Object(info): Object,
) -> Result<Json<Value>, Error> {
    let info: &RawValue =
        from_slice(&info).map_err(|_| Error::bad_json("The request's body is not a JSON object."))?;
    users.set_tag(&requester, &user_id, &room_id(&room)?, &tag, info).await?;
    Ok(Json(json!({})))
}

pub(crate) async fn delete(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [room, tag]): UserPath<2>,
) -> Result<Json<Value>, Error> {
    users.delete_tag(&requester, &user_id, &room_id(&room)?, &tag).await?;
    Ok(Json(json!({})))
}
