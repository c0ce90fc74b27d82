//! `GET /_matrix/client/v3/pushers`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushers>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_notify::Notify;
use myelin_store::schema::notify::Pusher;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;

pub(crate) async fn get(
    State(notify): State<Arc<Notify>>,
    Asks(requester): Asks,
) -> Result<Json<Value>, Error> {
    let pushers = notify.pushers(&requester).await?;
    Ok(Json(json!({ "pushers": pushers.iter().map(written).collect::<Vec<_>>() })))
}

fn written(pusher: &Pusher) -> Value {
    let mut json = json!({
        "kind": "http",
        "app_id": pusher.app_id,
        "pushkey": pusher.pushkey,
        "app_display_name": pusher.app_display_name,
        "device_display_name": pusher.device_display_name,
        "lang": pusher.lang,
        "data": serde_json::from_slice::<Value>(&pusher.data).unwrap_or_default(),
    });
    if let Some(tag) = &pusher.profile_tag {
        json["profile_tag"] = json!(tag);
    }
    json
}
