//! `POST /_matrix/client/v3/join/{roomIdOrAlias}` and `POST /_matrix/client/v3/rooms/{roomId}/join`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_model::Requester;
use myelin_pdu::{CanonicalObject, CanonicalValue};
use myelin_rooms::{Bound, MembershipError, Rooms, SendError};
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, OwnedUserId, RoomId, RoomOrAliasId};
use serde::Serialize;
use serde_json::value::RawValue;

use super::create::canonical;
use super::suspended::may_join;
use crate::Error;
use crate::access::Asks;
use crate::body::{Body, Segment};

#[derive(Serialize)]
pub(crate) struct Joined {
    room_id: OwnedRoomId,
}

pub(crate) async fn by_id(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Segment(room_id): Segment,
    Body(body): Body<Box<RawValue>>,
) -> Result<Json<Joined>, Error> {
    let room_id = OwnedRoomId::try_from(room_id.as_str())
        .map_err(|_| Error::invalid_param(format!("{room_id:?} is no room id.")))?;
    join(&rooms, &requester, &room_id, content(&body)?).await?;
    Ok(Json(Joined { room_id }))
}

pub(crate) async fn by_id_or_alias(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Segment(room): Segment,
    Body(body): Body<Box<RawValue>>,
) -> Result<Json<Joined>, Error> {
    let content = content(&body)?;
    let room = OwnedRoomOrAliasId::try_from(room.as_str())
        .map_err(|_| Error::invalid_param(format!("{room:?} is neither a room id nor an alias.")))?;
    let room_id = room_id_of(&rooms, &room).await?;
    join(&rooms, &requester, &room_id, content).await?;
    Ok(Json(Joined { room_id }))
}

/// What the body adds to the membership event: the reason, and whatever else a client writes there for others to see
/// (older specifications let them, and other servers still do).
fn content(body: &RawValue) -> Result<CanonicalObject, Error> {
    let content = canonical(body)?;
    match content.get("reason") {
        Some(reason) if reason.as_str().is_none() => Err(Error::bad_json("`reason` is no text.")),
        _ => Ok(content),
    }
}

/// The room that is meant.
pub(super) async fn room_id_of(rooms: &Rooms, room: &RoomOrAliasId) -> Result<OwnedRoomId, Error> {
    let alias = match <&RoomId>::try_from(room) {
        Ok(room_id) => return Ok(room_id.to_owned()),
        Err(alias) => alias,
    };
    let room_id = rooms.resolve_alias(alias).await?;
    room_id.ok_or_else(|| Error::not_found(format!("There is no room with the alias {alias}.")))
}

async fn join(
    rooms: &Rooms,
    requester: &Requester,
    room_id: &RoomId,
    mut extra: CanonicalObject,
) -> Result<(), Error> {
    may_join(rooms, requester, room_id).await?;
    if let Some(signed) = extra.remove("third_party_signed") {
        let invite = invite(room_id, signed)?;
        rooms.redeem(&requester.user_id, &invite).await?;
    }
    rooms.join(&requester.user_id, room_id, extra).await.map_err(not_known)
}

/// An invite by an address that the joining user shows to be theirs.
fn invite(room_id: &RoomId, signed: CanonicalValue) -> Result<Bound, Error> {
    let bad = || Error::bad_json("`third_party_signed` needs `sender`, `mxid`, `token` and `signatures`.");
    let CanonicalValue::Object(signed) = signed else { return Err(bad()) };
    let sender = signed.get_str("sender").and_then(|sender| OwnedUserId::try_from(sender).ok());
    Ok(Bound { room_id: room_id.to_owned(), sender: sender.ok_or_else(bad)?, signed })
}

/// Why somebody does not get in, for who may know that there is no such room here.
pub(super) fn not_known(error: MembershipError) -> Error {
    match error {
        MembershipError::Send(SendError::NoSuchRoom) => {
            Error::not_found("This server does not know the room and no other server can be asked.")
        }
        error => error.into(),
    }
}
