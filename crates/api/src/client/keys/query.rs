//! `POST /_matrix/client/v3/keys/query`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery>

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use myelin_e2ee::E2ee;
use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{failures, raw};
use crate::Error;
use crate::access::Asks;
use crate::body::Body;

/// The body of a query. Its `timeout` is for other servers, of which none can be asked.
#[derive(Deserialize)]
pub(crate) struct QueryBody {
    device_keys: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
}

/// The answer, over stored JSON.
#[derive(Serialize)]
struct Answer<'k> {
    failures: BTreeMap<&'k str, Value>,
    device_keys: BTreeMap<&'k OwnedUserId, BTreeMap<&'k OwnedDeviceId, &'k RawValue>>,
    master_keys: BTreeMap<&'k OwnedUserId, &'k RawValue>,
    self_signing_keys: BTreeMap<&'k OwnedUserId, &'k RawValue>,
    user_signing_keys: BTreeMap<&'k OwnedUserId, &'k RawValue>,
}

/// Looks up the devices and keys of users.
pub(crate) async fn post(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Body(body): Body<QueryBody>,
) -> Result<Response, Error> {
    let found = e2ee.query_keys(&requester, &body.device_keys).await?;
    let devices = found.device_keys.iter().map(|(user, devices)| Ok((user, raw_values(devices)?)));
    let answer = Answer {
        failures: failures(&found.unreachable),
        device_keys: devices.collect::<Result<_, Error>>()?,
        master_keys: raw_values(&found.master_keys)?,
        self_signing_keys: raw_values(&found.self_signing_keys)?,
        user_signing_keys: raw_values(&found.user_signing_keys)?,
    };
    Ok(Json(answer).into_response())
}

fn raw_values<K: Ord>(map: &BTreeMap<K, Bytes>) -> Result<BTreeMap<&K, &RawValue>, Error> {
    map.iter().map(|(key, json)| Ok((key, raw(json)?))).collect()
}
