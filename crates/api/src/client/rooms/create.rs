//! `POST /_matrix/client/v3/createRoom`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom>

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use myelin_pdu::{CanonicalJsonRule, CanonicalObject};
use myelin_rooms::{Creation, Draft, Preset, Rooms, Visibility};
use ruma::OwnedUserId;
use ruma::api::client::room::Visibility as Listed;
use ruma::api::client::room::create_room::v3::{Request, Response, RoomPreset};
use ruma::serde::Raw;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::invite::addressee;
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

pub(crate) async fn post(
    State(rooms): State<Arc<Rooms>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    let creation = creation(requester.user_id, request)?;
    Ok(Answer(Response::new(rooms.create(&creation).await?)))
}

fn creation(creator: OwnedUserId, request: Request) -> Result<Creation, Error> {
    let preset = request.preset.map(|preset| match preset {
        RoomPreset::PrivateChat => Ok(Preset::PrivateChat),
        RoomPreset::TrustedPrivateChat => Ok(Preset::TrustedPrivateChat),
        RoomPreset::PublicChat => Ok(Preset::PublicChat),
        other => Err(Error::invalid_param(format!("There is no preset {:?}.", other.as_str()))),
    });
    let version = request.room_version.map(|version| {
        version.as_str().parse().map_err(|_| {
            let message = format!("This server knows no room version {:?}.", version.as_str());
            Error::new(StatusCode::BAD_REQUEST, "M_UNSUPPORTED_ROOM_VERSION", message)
        })
    });
    let creation_content = request.creation_content.as_ref().map(object).transpose()?;
    let levels = request.power_level_content_override.as_ref().map(object).transpose()?;
    let initial_state = request.initial_state.iter().map(|state| initial(&creator, state.json()));
    Ok(Creation {
        visibility: if request.visibility == Listed::Public {
            Visibility::Public
        } else {
            Visibility::Private
        },
        preset: preset.transpose()?,
        version: version.transpose()?,
        creation_content: creation_content.unwrap_or_default(),
        initial_state: initial_state.collect::<Result<_, _>>()?,
        name: request.name,
        topic: request.topic,
        alias_name: request.room_alias_name,
        invite: request.invite,
        invite_addresses: request.invite_3pid.into_iter().map(addressee).collect(),
        is_direct: request.is_direct,
        power_level_content_override: levels,
        creator,
    })
}

#[derive(Deserialize)]
struct InitialState<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    state_key: String,
    #[serde(borrow)]
    content: &'a RawValue,
}

fn initial(creator: &OwnedUserId, state: &RawValue) -> Result<Draft, Error> {
    let state: InitialState<'_> = serde_json::from_str(state.get())
        .map_err(|error| Error::bad_json(format!("An entry of initial_state is no state event: {error}.")))?;
    Ok(Draft {
        sender: creator.clone(),
        kind: state.kind,
        state_key: Some(state.state_key),
        content: canonical(state.content)?,
        redacts: None,
        sticky: None,
    })
}

fn object<T>(raw: &Raw<T>) -> Result<CanonicalObject, Error> {
    canonical(raw.json())
}

/// Content as it will stand in an event.
pub(crate) fn canonical(json: &RawValue) -> Result<CanonicalObject, Error> {
    CanonicalObject::parse(json.get().as_bytes(), CanonicalJsonRule::Strict)
        .map_err(|error| Error::bad_json(format!("The content can't stand in an event: {error}.")))
}
