//! `PUT` and `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::Users;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, from_slice, json};

use super::room_id;
use crate::Error;
use crate::access::Asks;
use crate::body::parse;
use crate::object::{Object, UserPath};

/// What is said of a tag, as far as the specification says it; the rest is the client's.
#[derive(Deserialize)]
struct TagInfo {
    #[serde(default, rename = "order", deserialize_with = "order")]
    _order: (),
}

/// A number, or nothing. Older clients write it as text.
fn order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    let is_order = match Value::deserialize(deserializer)? {
        Value::Null | Value::Number(_) => true,
        Value::String(text) => text.parse::<f64>().is_ok(),
        _ => false,
    };
    if is_order { Ok(()) } else { Err(D::Error::custom("the order is no number")) }
}

pub(crate) async fn put(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [room, tag]): UserPath<2>,
    Object(info): Object,
) -> Result<Json<Value>, Error> {
    let _: TagInfo = parse(&info)?;
    let info: &RawValue = from_slice(&info).map_err(|error| Error::internal(&error))?;
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
