//! `PUT`, `GET` and `DELETE /_matrix/client/v3/room_keys/keys`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeys>

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use myelin_e2ee::{BackupScope, E2ee};
use ruma::api::client::backup::{add_backup_keys, delete_backup_keys, get_backup_keys};

use super::{count, read, sent_sessions};
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

/// Stores keys of any rooms.
pub(crate) async fn put(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<add_backup_keys::v3::Request>,
) -> Result<Answer<add_backup_keys::v3::Response>, Error> {
    let mut sessions = Vec::new();
    for (room_id, backup) in request.rooms {
        sessions.extend(sent_sessions(&room_id, backup.sessions)?);
    }
    let state = e2ee.store_sessions(&requester, &request.version, sessions).await?;
    Ok(Answer(add_backup_keys::v3::Response::new(state.etag.clone(), count(&state))))
}

/// Reads every key.
pub(crate) async fn get(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<get_backup_keys::v3::Request>,
) -> Result<Response, Error> {
    read::sessions(e2ee, requester, request.version, None).await
}

/// Deletes every key.
pub(crate) async fn delete(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<delete_backup_keys::v3::Request>,
) -> Result<Answer<delete_backup_keys::v3::Response>, Error> {
    let state = e2ee.delete_sessions(&requester, &request.version, &BackupScope::All).await?;
    Ok(Answer(delete_backup_keys::v3::Response::new(state.etag.clone(), count(&state))))
}
