//! `GET`, `PUT` and `DELETE /_matrix/client/v3/room_keys/version/{version}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversionversion>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_e2ee::E2ee;
use ruma::api::client::backup::{delete_backup_version, get_backup_info, update_backup_version};

use super::{ShownVersion, sent_version, shown};
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

/// Tells one version.
pub(crate) async fn get(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<get_backup_info::v3::Request>,
) -> Result<Json<ShownVersion>, Error> {
    shown(e2ee.backup(&requester, Some(&request.version)).await?).map(Json)
}

/// Replaces the `auth_data` of a version.
pub(crate) async fn put(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<update_backup_version::v3::Request>,
) -> Result<Answer<update_backup_version::v3::Response>, Error> {
    let (new, version) = sent_version(&request.algorithm)?;
    if version.is_some_and(|version| version != request.version) {
        return Err(Error::invalid_param("The version in the body is not the one in the path."));
    }
    e2ee.update_backup(&requester, &request.version, &new).await?;
    Ok(Answer(update_backup_version::v3::Response::new()))
}

/// Deletes a version with all its keys.
pub(crate) async fn delete(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<delete_backup_version::v3::Request>,
) -> Result<Answer<delete_backup_version::v3::Response>, Error> {
    e2ee.delete_backup(&requester, &request.version).await?;
    Ok(Answer(delete_backup_version::v3::Response::new()))
}
