//! `PUT`, `GET` and `DELETE /_matrix/client/v3/room_keys/keys/{roomId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomid>

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use myelin_e2ee::{BackupScope, E2ee};
use ruma::api::client::backup::{
    add_backup_keys_for_room, delete_backup_keys_for_room, get_backup_keys_for_room,
};

use super::{count, read, sent_sessions};
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

/// Stores keys of the room.
pub(crate) async fn put(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<add_backup_keys_for_room::v3::Request>,
) -> Result<Answer<add_backup_keys_for_room::v3::Response>, Error> {
    let sessions = sent_sessions(&request.room_id, request.sessions)?;
    let state = e2ee.store_sessions(&requester, &request.version, sessions).await?;
    Ok(Answer(add_backup_keys_for_room::v3::Response::new(state.etag.clone(), count(&state))))
}

/// Reads the keys of the room.
pub(crate) async fn get(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<get_backup_keys_for_room::v3::Request>,
) -> Result<Response, Error> {
    read::sessions(e2ee, requester, request.version, Some(request.room_id)).await
}

/// Deletes the keys of the room.
pub(crate) async fn delete(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<delete_backup_keys_for_room::v3::Request>,
) -> Result<Answer<delete_backup_keys_for_room::v3::Response>, Error> {
    let scope = BackupScope::Room(request.room_id);
    let state = e2ee.delete_sessions(&requester, &request.version, &scope).await?;
    Ok(Answer(delete_backup_keys_for_room::v3::Response::new(state.etag.clone(), count(&state))))
}
