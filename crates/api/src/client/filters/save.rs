//! `POST /_matrix/client/v3/user/{userId}/filter`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_sync_core::event_fields::EventFields;
use myelin_users::Users;
use ruma::api::client::filter::FilterDefinition;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::parse;
use crate::object::{Object, UserPath};

pub(crate) async fn post(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    UserPath(user_id, []): UserPath<0>,
    Object(filter): Object,
) -> Result<Json<Value>, Error> {
    // What a sync could not use is refused now rather than then.
    let definition: FilterDefinition = parse(&filter)?;
    let paths = definition.event_fields.iter().flatten().map(String::as_str);
    EventFields::parse(paths).map_err(|error| Error::bad_json(format!("{error}.")))?;
    let filter_id = users.save_filter(&requester, &user_id, filter).await?;
    Ok(Json(json!({ "filter_id": filter_id })))
}
