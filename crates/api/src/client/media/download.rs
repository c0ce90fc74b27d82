//! `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaid>

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use myelin_media::Media;
use ruma::api::client::authenticated_media::get_content::v1::Request;

use super::serve::{download, lookup};
use crate::Error;
use crate::args::Args;

/// The file under its own name.
pub(crate) async fn get(
    State(media): State<Arc<Media>>,
    headers: HeaderMap,
    Args(request): Args<Request>,
) -> Result<Response, Error> {
    let file = lookup(&media, &request.server_name, &request.media_id).await?;
    download(&media, &headers, file).await
}
