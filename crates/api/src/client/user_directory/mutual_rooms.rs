//! `GET /_matrix/client/v1/mutual_rooms`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mutual_rooms>
//!
//! And as clients called it before it was merged, where the token has other names:
//! <https://github.com/matrix-org/matrix-spec-proposals/blob/main/proposals/2666-get-rooms-in-common.md>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_model::Requester;
use myelin_users::{MutualRooms, MutualRoomsError, Users};
use ruma::{OwnedRoomId, UserId};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::access::Asks;
use crate::args::Query;

#[derive(Deserialize)]
pub(crate) struct MutualQuery {
    user_id: Option<String>,
    #[serde(alias = "batch_token")]
    from: Option<OwnedRoomId>,
}

#[derive(Serialize)]
pub(crate) struct MutualAnswer {
    joined: Vec<OwnedRoomId>,
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<OwnedRoomId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch_token: Option<OwnedRoomId>,
}

pub(crate) async fn get(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Query(query): Query<MutualQuery>,
) -> Result<Json<MutualAnswer>, Error> {
    let MutualRooms { joined, count, next } = read(&users, &requester, query).await?;
    Ok(Json(MutualAnswer { joined, count, next_batch: next, next_batch_token: None }))
}

pub(crate) async fn get_unstable(
    State(users): State<Arc<Users>>,
    Asks(requester): Asks,
    Query(query): Query<MutualQuery>,
) -> Result<Json<MutualAnswer>, Error> {
    let MutualRooms { joined, count, next } = read(&users, &requester, query).await?;
    Ok(Json(MutualAnswer { joined, count, next_batch: None, next_batch_token: next }))
}

async fn read(users: &Users, requester: &Requester, query: MutualQuery) -> Result<MutualRooms, Error> {
    let user_id = query.user_id.ok_or_else(|| Error::missing_param("The query names no user_id."))?;
    let strict = UserId::parse(&*user_id).ok().filter(|user_id| user_id.validate_strict().is_ok());
    let user_id = strict.ok_or_else(|| Error::invalid_param("The user_id is not valid."))?;
    Ok(users.mutual_rooms(requester, &user_id, query.from.as_deref()).await?)
}

impl From<MutualRoomsError> for Error {
    fn from(error: MutualRoomsError) -> Self {
        match error {
            MutualRoomsError::Oneself => Self::invalid_param("The user_id is your own."),
            MutualRoomsError::UnknownBatch => Self::invalid_param("The token is none of this endpoint."),
            MutualRoomsError::Read(error) => error.into(),
        }
    }
}
