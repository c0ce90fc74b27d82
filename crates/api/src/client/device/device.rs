//! `GET`, `PUT` and `DELETE /_matrix/client/v3/devices/{deviceId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, Operation};
use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{shown, unknown_device};
use crate::Error;
use crate::access::Asks;
use crate::body::{Body, Segment};
use crate::uia::{AuthDict, BY_PASSWORD, require};

/// What can be changed about a device.
#[derive(Deserialize)]
pub(crate) struct RenameBody {
    display_name: Option<String>,
}

/// The body of a deletion.
#[derive(Deserialize)]
pub(crate) struct DeleteBody {
    auth: Option<AuthDict>,
}

/// Shows one device.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(device_id): Segment,
) -> Result<Json<Value>, Error> {
    let device = auth.device(&requester, &OwnedDeviceId::from(device_id)).await?;
    device.map(shown).map(Json).ok_or_else(unknown_device)
}

/// Renames one device. Only application services may make one so.
pub(crate) async fn put(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(device_id): Segment,
    Body(body): Body<RenameBody>,
) -> Result<Json<Value>, Error> {
    auth.rename_device(&requester, &OwnedDeviceId::from(device_id), body.display_name).await?;
    Ok(Json(json!({})))
}

/// Deletes one device, and says nothing where there is none.
pub(crate) async fn delete(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(device_id): Segment,
    Body(body): Body<DeleteBody>,
) -> Result<Json<Value>, Error> {
    let operation = Operation {
        name: "device.delete",
        asks: Some(&requester),
        parameters: device_id.as_bytes(),
        flows: BY_PASSWORD,
    };
    let passed = require(&auth, &operation, body.auth).await?;
    auth.delete_devices(&requester, &[OwnedDeviceId::from(device_id)]).await?;
    auth.finish(&passed);
    Ok(Json(json!({})))
}
