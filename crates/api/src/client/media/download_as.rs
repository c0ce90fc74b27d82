//! `GET /_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediadownloadservernamemediaidfilename>

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use myelin_media::{File, Media};
use ruma::api::client::authenticated_media::get_content_as_filename::v1::Request;

use super::serve::{download, lookup};
use crate::Error;
use crate::args::Args;

/// The file under the name that is asked for.
pub(crate) async fn get(
    State(media): State<Arc<Media>>,
    headers: HeaderMap,
    Args(request): Args<Request>,
) -> Result<Response, Error> {
    let file = lookup(&media, &request.server_name, &request.media_id).await?;
    download(&media, &headers, File { filename: Some(request.filename), ..file }).await
}
