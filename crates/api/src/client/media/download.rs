//! `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}`
//! (and deprecated `GET /_matrix/media/v3/download/...`, for those who send their token there)
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid>

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use myelin_media::Media;
use ruma::api::client::authenticated_media::get_content::v1::Request;

use super::admitted::Admitted;
use super::serve::{Asking, download, lookup};
use crate::Error;
use crate::args::Args;

/// The file under its own name.
pub(crate) async fn get(
    State(media): State<Arc<Media>>,
    _: Admitted,
    asking: Asking,
    Args(request): Args<Request>,
) -> Result<Response, Error> {
    let file = lookup(&media, &request.server_name, &request.media_id, request.timeout_ms).await?;
    download(&media, &asking, file).await
}
