//! `GET /_matrix/client/v3/admin/whois/{userId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3adminwhoisuserid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, DeviceInfo};
use serde_json::{Map, Value, json};

use super::lock::parse;
use crate::Error;
use crate::access::Asks;
use crate::body::Segment;

/// Tells, of oneself or to an administrator, which devices a user has and where each was last seen. A device is one
/// session with one connection; what programs call themselves is not kept.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(user_id): Segment,
) -> Result<Json<Value>, Error> {
    let user_id = parse(user_id)?;
    let devices: Map<String, Value> =
        auth.whois(&requester, &user_id).await?.into_iter().map(device).collect();
    Ok(Json(json!({ "user_id": user_id, "devices": devices })))
}

fn device(info: DeviceInfo) -> (String, Value) {
    let mut connection = Map::new();
    if let Some(ip) = info.last_seen_ip {
        connection.insert("ip".to_owned(), ip.into());
    }
    if let Some(at) = info.last_seen_ts {
        connection.insert("last_seen".to_owned(), at.into());
    }
    (info.device_id.to_string(), json!({ "sessions": [{ "connections": [connection] }] }))
}
