//! `GET /_matrix/client/v1/media/preview_url`, and deprecated `GET /_matrix/media/v3/preview_url`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url>

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use myelin_media::Previews;
use ruma::api::client::authenticated_media::get_media_preview::v1::Request;

use super::error::preview_error;
use crate::Error;
use crate::access::Asks;
use crate::answer::RawAnswer;
use crate::args::Args;

/// What a page says of itself. The point in time that may be asked for is not looked at: the newest is shown.
pub(crate) async fn get(
    State(previews): State<Arc<Previews>>,
    Asks(requester): Asks,
    Args(request): Args<Request>,
) -> Result<RawAnswer, Error> {
    let preview = previews.preview(&requester, &request.url).await.map_err(preview_error)?;
    Ok(RawAnswer(Bytes::copy_from_slice(preview.as_bytes())))
}
