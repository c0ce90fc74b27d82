//! `GET /_matrix/client/v3/rooms/{roomId}/initialSync`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidinitialsync>
//!
//! For looking at a room without joining it. It has the forms of the first API: the messages are oldest first.

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use myelin_rooms::{Rooms, Visibility};
use myelin_runtime::Env;
use myelin_store::schema::rooms::Membership;
use myelin_timeline::ClientEvents;
use ruma::OwnedRoomId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::viewer;
use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;
use crate::args::Query;
use crate::body::Segment;

/// How many messages there are where the client does not say.
const USUAL_LIMIT: usize = 10;

#[derive(Deserialize)]
pub(crate) struct Wish {
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Body {
    room_id: OwnedRoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<&'static str>,
    messages: Messages,
    state: ClientEvents<'static>,
    visibility: &'static str,
    account_data: Vec<Piece>,
}

#[derive(Serialize)]
struct Messages {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<String>,
    end: String,
    chunk: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct Piece {
    #[serde(rename = "type")]
    kind: String,
    content: Box<RawValue>,
}

pub(crate) async fn get(
    State(rooms): State<Arc<Rooms>>,
    State(env): State<Env>,
    Asks(requester): Asks,
    Segment(room_id): Segment,
    Query(asked): Query<Wish>,
) -> Result<RawAnswer, Error> {
    let room_id = OwnedRoomId::try_from(room_id.as_str())
        .map_err(|_| Error::invalid_param(format!("{room_id:?} is no room id.")))?;
    let limit = asked.limit.unwrap_or(USUAL_LIMIT);
    let found = rooms.initial_sync(&viewer(requester, &env), &room_id, limit).await?;
    let page = found.messages;
    let chunk: Vec<Box<RawValue>> = page.chunk.into_iter().rev().collect();
    let size = found.state.size() + chunk.iter().map(|event| event.get().len()).sum::<usize>();
    let body = Body {
        room_id,
        membership: found.membership.map(Membership::as_str),
        messages: Messages { start: page.end.map(|end| end.to_string()), end: page.start.to_string(), chunk },
        state: found.state,
        visibility: match found.visibility {
            Visibility::Public => "public",
            Visibility::Private => "private",
        },
        account_data: found.account_data.into_iter().filter_map(piece).collect(),
    };
    RawAnswer::of_size(size, &body)
}

/// A piece of account data; what is not JSON can't have been stored.
fn piece((kind, content): (String, Bytes)) -> Option<Piece> {
    Some(Piece { kind, content: serde_json::from_slice(&content).ok()? })
}
