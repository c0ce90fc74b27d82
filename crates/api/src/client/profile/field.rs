//! `GET`, `PUT` and `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname>

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_users::{ProfileKey, Users};
use serde_json::value::RawValue;
use serde_json::{Value, from_slice, json};

use crate::Error;
use crate::access::Asks;
use crate::object::{Object, UserPath};

/// Fields with their values as they were sent.
type Fields = BTreeMap<String, Box<RawValue>>;

pub(crate) async fn get(
    State(users): State<Arc<Users>>,
    UserPath(user_id, [key]): UserPath<1>,
) -> Result<Json<Fields>, Error> {
    let value = users.profile_field(&user_id, &ProfileKey::parse(&key)?).await?;
    let value = value.ok_or_else(|| Error::not_found(format!("The profile has no field {key}.")))?;
    Ok(Json(Fields::from([(key, value)])))
}

pub(crate) async fn put(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [key]): UserPath<1>,
    Object(body): Object,
) -> Result<Json<Value>, Error> {
    let mut fields: Fields =
        from_slice(&body).map_err(|_| Error::bad_json("The request's body is not a JSON object."))?;
    let name = ProfileKey::parse(&key)?;
    let value =
        fields.remove(&key).ok_or_else(|| Error::missing_param(format!("The body has no field {key}.")))?;
    users.set_profile_field(&requester, &user_id, &name, &value).await?;
    Ok(Json(json!({})))
}

pub(crate) async fn delete(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, [key]): UserPath<1>,
) -> Result<Json<Value>, Error> {
    users.delete_profile_field(&requester, &user_id, &ProfileKey::parse(&key)?).await?;
    Ok(Json(json!({})))
}
