//! `POST` and `GET /_matrix/client/v3/room_keys/version`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_e2ee::E2ee;
use ruma::api::client::backup::create_backup_version::v3::{Request, Response};

use super::{ShownVersion, sent_version, shown};
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Args;

/// Makes a new version.
pub(crate) async fn post(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<Answer<Response>, Error> {
    let (new, _) = sent_version(&request.algorithm)?;
    Ok(Answer(Response::new(e2ee.create_backup(&requester, &new).await?)))
}

/// Tells the current version.
pub(crate) async fn get(
    State(e2ee): State<Arc<E2ee>>,
    Asks(requester): Asks,
) -> Result<Json<ShownVersion>, Error> {
    shown(e2ee.backup(&requester, None).await?).map(Json)
}
