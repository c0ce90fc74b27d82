//! `POST /_matrix/client/v3/keys/upload`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload>

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_e2ee::{E2ee, KeysUpload};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;

type Keys = BTreeMap<String, Box<RawValue>>;

/// The body of an upload. Keys are taken as they were sent, since they are signed.
#[derive(Deserialize)]
pub(crate) struct UploadBody {
    device_keys: Option<Box<RawValue>>,
    one_time_keys: Option<Keys>,
    fallback_keys: Option<Keys>,
    /// The name before MSC2732 was merged, which some clients send beside the other.
    #[serde(rename = "org.matrix.msc2732.fallback_keys")]
    old_fallback_keys: Option<Keys>,
}

/// Publishes keys of the device that asks.
pub(crate) async fn post(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Body(body): Body<UploadBody>,
) -> Result<Json<Value>, Error> {
    let upload = KeysUpload {
        device_keys: body.device_keys,
        one_time_keys: body.one_time_keys.unwrap_or_default(),
        fallback_keys: body.fallback_keys.or(body.old_fallback_keys).unwrap_or_default(),
    };
    let counts = e2ee.upload_keys(&requester, &upload).await?;
    Ok(Json(json!({ "one_time_key_counts": counts })))
}
