//! `GET` and `POST /_matrix/client/unstable/io.element.msc4388/rendezvous` (MSC4388)

use axum::{Extension, Json};
use bytes::Bytes;
use myelin_auth::MeetingForm;
use myelin_oauth_core::rendezvous::LIFETIME;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Meetings, check_size};
use crate::body::Body;
use crate::{ClientAddress, Error};

#[derive(Deserialize)]
pub(crate) struct Opening {
    data: String,
}

#[derive(Serialize)]
pub(crate) struct Opened {
    id: String,
    sequence_token: String,
    expires_in_ms: i64,
}

/// Whether the device may open a place: anybody may.
pub(crate) async fn get(Meetings(_): Meetings) -> Json<Value> {
    Json(json!({ "create_available": true }))
}

/// Opens a place.
pub(crate) async fn post(
    Meetings(auth): Meetings,
    address: Option<Extension<ClientAddress>>,
    Body(opening): Body<Opening>,
) -> Result<Json<Opened>, Error> {
    check_size(opening.data.len())?;
    let address = address.map(|Extension(ClientAddress(address))| address);
    let (id, place) = auth.open_meeting(MeetingForm::Sequenced, address, Bytes::from(opening.data))?;
    Ok(Json(Opened { id, sequence_token: place.token, expires_in_ms: LIFETIME }))
}
