//! `POST /_matrix/client/v3/keys/claim`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim>

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use myelin_e2ee::E2ee;
use ruma::{OwnedDeviceId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{failures, raw};
use crate::Error;
use crate::access::Asks;
use crate::body::Body;

/// The body of a claim. Its `timeout` is for other servers, of which none can be asked.
#[derive(Deserialize)]
pub(crate) struct ClaimBody {
    one_time_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, String>>,
}

type Keys<'k> = BTreeMap<&'k str, &'k RawValue>;

/// The answer, over stored JSON.
#[derive(Serialize)]
struct Answer<'k> {
    failures: BTreeMap<&'k str, Value>,
    one_time_keys: BTreeMap<&'k OwnedUserId, BTreeMap<&'k OwnedDeviceId, Keys<'k>>>,
}

/// Takes a key of each device.
pub(crate) async fn post(
    State(e2ee): State<Arc<E2ee>>,
    Asks(_): Asks,
    Body(body): Body<ClaimBody>,
) -> Result<Response, Error> {
    let claimed = e2ee.claim_keys(body.one_time_keys).await?;
    let mut answer = Answer { failures: failures(&claimed.unreachable), one_time_keys: BTreeMap::new() };
    for (user, devices) in &claimed.one_time_keys {
        for (device, key) in devices {
            let keys = Keys::from([(key.id.as_str(), raw(&key.json)?)]);
            answer.one_time_keys.entry(user).or_default().insert(device, keys);
        }
    }
    Ok(Json(answer).into_response())
}
