//! `POST /_matrix/media/v1/create`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav1create>

use std::sync::Arc;

use axum::extract::State;
use myelin_media::Media;
use ruma::MilliSecondsSinceUnixEpoch;
use ruma::api::client::media::create_mxc_uri::v1::Response;
use serde::Deserialize;

use super::error::create_error;
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::body::Body;

/// The request has no fields yet.
#[derive(Deserialize)]
pub(crate) struct Nothing {}

/// A URI for a file that is uploaded later.
pub(crate) async fn post(
    State(media): State<Arc<Media>>,
    Asks(requester): Asks,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Answer<Response>, Error> {
    let created = media.create(&requester).await.map_err(create_error)?;
    let mut response = Response::new(created.uri);
    let expires = created.unused_expires_at.try_into().ok();
    response.unused_expires_at = expires.map(MilliSecondsSinceUnixEpoch);
    Ok(Answer(response))
}
