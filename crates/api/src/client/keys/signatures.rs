//! `POST /_matrix/client/v3/keys/signatures/upload`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload>

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_e2ee::E2ee;
use ruma::OwnedUserId;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::error::{failure_code, sentence};
use crate::Error;
use crate::access::Asks;
use crate::body::Body;

/// Signed keys by user and key id.
type Signed = BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>;

/// Adds signatures to keys.
pub(crate) async fn post(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Body(signed): Body<Signed>,
) -> Result<Json<Value>, Error> {
    let failures = e2ee.upload_signatures(&requester, &signed).await?;
    let mut answer: BTreeMap<OwnedUserId, BTreeMap<String, Value>> = BTreeMap::new();
    for (user, keys) in failures {
        for (key, failure) in keys {
            let failure = json!({ "errcode": failure_code(failure), "error": sentence(&failure) });
            answer.entry(user.clone()).or_default().insert(key, failure);
        }
    }
    Ok(Json(json!({ "failures": answer })))
}
