//! `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid>

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use myelin_media::{Media, Method, Wanted};
use ruma::UInt;
use ruma::api::client::authenticated_media::get_content_thumbnail::v1::Request;
use ruma::media;

use super::error::{not_found, thumbnail_error};
use super::serve;
use crate::Error;
use crate::args::Args;

/// A small picture of a large one.
pub(crate) async fn get(
    State(media): State<Arc<Media>>,
    headers: HeaderMap,
    Args(request): Args<Request>,
) -> Result<Response, Error> {
    let wanted = Wanted {
        width: length(request.width)?,
        height: length(request.height)?,
        method: method(request.method.as_ref())?,
        animated: request.animated.unwrap_or(false),
    };
    let found =
        media.thumbnail(&request.server_name, &request.media_id, wanted).await.map_err(thumbnail_error)?;
    let file = found.ok_or_else(|| not_found(&media, &request.server_name))?;
    serve::thumbnail(&media, &headers, file).await
}

fn length(pixels: UInt) -> Result<u32, Error> {
    match u32::try_from(u64::from(pixels)).unwrap_or(u32::MAX) {
        0 => Err(Error::invalid_param("The width and height of a thumbnail are at least 1.")),
        pixels => Ok(pixels),
    }
}

/// Naming one is optional. Without, pictures are scaled, as clients know it from other servers.
fn method(method: Option<&media::Method>) -> Result<Method, Error> {
    match method {
        None | Some(media::Method::Scale) => Ok(Method::Scale),
        Some(media::Method::Crop) => Ok(Method::Crop),
        Some(_) => Err(Error::invalid_param("The method of a thumbnail is crop or scale.")),
    }
}
