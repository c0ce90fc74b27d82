//! `PUT`, `GET` and `DELETE /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomidsessionid>

use std::sync::Arc;

use axum::extract::State;
use myelin_e2ee::{BackupScope, E2ee};
use ruma::api::client::backup::{
    add_backup_keys_for_session, delete_backup_keys_for_session, get_backup_keys_for_session,
};

use super::{count, read, sent_session};
use crate::Error;
use crate::access::Asks;
use crate::answer::{Answer, RawAnswer};
use crate::args::Args;

/// Stores the key of the session.
pub(crate) async fn put(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<add_backup_keys_for_session::v3::Request>,
) -> Result<Answer<add_backup_keys_for_session::v3::Response>, Error> {
    let session = sent_session(&request.room_id, request.session_id, &request.session_data)?;
    let state = e2ee.store_sessions(&requester, &request.version, vec![session]).await?;
    Ok(Answer(add_backup_keys_for_session::v3::Response::new(state.etag.clone(), count(&state))))
}

/// Reads the key of the session.
pub(crate) async fn get(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<get_backup_keys_for_session::v3::Request>,
) -> Result<RawAnswer, Error> {
    let found =
        e2ee.backed_up_session(&requester, &request.version, &request.room_id, &request.session_id).await?;
    let session = found.ok_or_else(|| Error::not_found("The backup has no key of this session."))?;
    Ok(RawAnswer(read::session(&session).into()))
}

/// Deletes the key of the session.
pub(crate) async fn delete(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<delete_backup_keys_for_session::v3::Request>,
) -> Result<Answer<delete_backup_keys_for_session::v3::Response>, Error> {
    let scope = BackupScope::Session(request.room_id, request.session_id);
    let state = e2ee.delete_sessions(&requester, &request.version, &scope).await?;
    Ok(Answer(delete_backup_keys_for_session::v3::Response::new(state.etag.clone(), count(&state))))
}
