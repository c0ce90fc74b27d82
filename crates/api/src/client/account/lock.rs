//! `GET` and `PUT /_matrix/client/v1/admin/lock/{userId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv1adminlockuserid>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, Lock, ModerationError};
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::{Body, Segment};

/// Whether to lock.
#[derive(Deserialize)]
pub(crate) struct LockBody {
    locked: bool,
}

/// Tells whether a user is locked.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(user_id): Segment,
) -> Result<Json<Value>, Error> {
    let lock = auth.lock_of(&requester, &parse(user_id)?).await?;
    Ok(Json(json!({ "locked": lock == Lock::Locked })))
}

/// Locks or unlocks a user.
pub(crate) async fn put(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(user_id): Segment,
    Body(body): Body<LockBody>,
) -> Result<Json<Value>, Error> {
    let lock = if body.locked { Lock::Locked } else { Lock::Unlocked };
    auth.set_lock(&requester, &parse(user_id)?, lock).await?;
    Ok(Json(json!({ "locked": body.locked })))
}

/// The user that a path names.
pub(super) fn parse(user_id: String) -> Result<OwnedUserId, Error> {
    OwnedUserId::try_from(user_id).map_err(|_| Error::invalid_param("The path holds no user id."))
}

impl From<ModerationError> for Error {
    fn from(error: ModerationError) -> Self {
        match error {
            ModerationError::Forbidden => {
                Self::forbidden("Only administrators may do this, and not to each other or themselves.")
            }
            ModerationError::Remote => Self::invalid_param("The user does not belong to this server."),
            ModerationError::Unknown => Self::not_found("There is no such account."),
            ModerationError::Store(error) => error.into(),
        }
    }
}
