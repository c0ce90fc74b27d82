//! `POST /_matrix/client/v3/delete_devices`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, Operation};
use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::uia::{AuthDict, BY_PASSWORD, require};

/// The most devices of one request.
const MAX_DEVICES: usize = 10_000;

/// The devices to delete.
#[derive(Deserialize)]
pub(crate) struct DeleteDevicesBody {
    devices: Vec<OwnedDeviceId>,
    auth: Option<AuthDict>,
}

/// Deletes several devices, and says nothing of those that are not there.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Body(body): Body<DeleteDevicesBody>,
) -> Result<Json<Value>, Error> {
    let mut devices = body.devices;
    if devices.len() > MAX_DEVICES {
        return Err(Error::invalid_param("More than 10,000 devices can't be deleted in one request."));
    }
    devices.sort_unstable();
    devices.dedup();
    let parameters = json!(devices).to_string();
    let operation = Operation {
        name: "delete_devices",
        asks: Some(&requester),
        parameters: parameters.as_bytes(),
        flows: BY_PASSWORD,
    };
    let passed = require(&auth, &operation, body.auth).await?;
    auth.delete_devices(&requester, &devices).await?;
    auth.finish(&passed);
    Ok(Json(json!({})))
}
