//! `PUT /_matrix/federation/v1/3pid/onbind`
//! <https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv13pidonbind>
//!
//! Called by identity servers, which sign no requests. What they signed is in each invite, and the room's rules judge that.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_rooms::{Bound, Rooms};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::create::canonical;
use crate::Error;
use crate::body::Body;

/// An address is a user's now, and these invites waited for that.
#[derive(Deserialize)]
pub(crate) struct OnBindBody {
    #[serde(rename = "medium")]
    _medium: String,
    #[serde(rename = "address")]
    _address: String,
    mxid: OwnedUserId,
    invites: Vec<Invite>,
}

#[derive(Deserialize)]
struct Invite {
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    signed: Box<RawValue>,
}

pub(crate) async fn put(
    State(rooms): State<Arc<Rooms>>,
    Body(body): Body<OnBindBody>,
) -> Result<Json<Value>, Error> {
    let bound = |invite: Invite| {
        let signed = canonical(&invite.signed)?;
        Ok(Bound { room_id: invite.room_id, sender: invite.sender, signed })
    };
    let invites = body.invites.into_iter().map(bound).collect::<Result<Vec<_>, Error>>()?;
    rooms.address_bound(&body.mxid, &invites).await;
    Ok(Json(json!({})))
}
