//! `GET /_matrix/client/v3/capabilities`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3capabilities>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use myelin_rooms::{MAX_DELAY, MAX_SCHEDULED, Rooms, room_versions};
use serde_json::{Map, Value, json};

use crate::Error;
use crate::access::Asks;

/// What this server lets its users do. What is not named is unknown to clients, so each is named.
pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
) -> Result<Json<Value>, Error> {
    let available: Map<String, Value> =
        room_versions().map(|version| (version.as_str().to_owned(), Value::from("stable"))).collect();
    let delayed = json!({ "max_delay_ms": MAX_DELAY, "max_scheduled": MAX_SCHEDULED });
    let mut answer = json!({
        "capabilities": {
            "m.room_versions": { "default": rooms.default_version().as_str(), "available": available },
            "m.change_password": { "enabled": auth.keeps_password(&requester.user_id).await? },
            "m.set_displayname": { "enabled": true },
            "m.set_avatar_url": { "enabled": true },
            "m.profile_fields": { "enabled": true },
            "m.3pid_changes": { "enabled": auth.sends_email() },
            "m.get_login_token": { "enabled": auth.config().legacy.token },
            "m.forget_forced_upon_leave": { "enabled": false },
            "m.delayed_events": delayed.clone(),
            "org.matrix.msc4140.delayed_events": delayed,
        },
    });
    if requester.is_admin {
        answer["capabilities"]["m.account_moderation"] = json!({ "lock": true, "suspend": true });
    }
    Ok(Json(answer))
}
