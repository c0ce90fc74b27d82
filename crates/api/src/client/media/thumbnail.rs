//! `GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId}`
//! (and deprecated `GET /_matrix/media/v3/thumbnail/...`, for those who send their token there)
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediathumbnailservernamemediaid>

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use myelin_media::{Media, Method, Wanted};
use ruma::UInt;
use ruma::api::client::authenticated_media::get_content_thumbnail::v1::Request;
use ruma::media;

use super::admitted::Admitted;
use super::error::{not_found, thumbnail_error};
use super::serve::{self, Asking};
use crate::Error;
use crate::args::Args;

/// A small picture of a large one.
pub(crate) async fn get(
    State(media): State<Arc<Media>>,
    _: Admitted,
    asking: Asking,
    Args(request): Args<Request>,
) -> Result<Response, Error> {
    let wanted = Wanted {
        width: length(request.width)?,
        height: length(request.height)?,
        method: method(request.method.as_ref())?,
        animated: request.animated.unwrap_or(false),
    };
    let (server, media_id) = (&request.server_name, &request.media_id);
    let make = async || media.thumbnail(server, media_id, wanted).await.map_err(thumbnail_error);
    let mut found = make().await?;
    if found.is_none() {
        serve::wait(&media, server, media_id, request.timeout_ms).await?;
        found = make().await?;
    }
    let file = found.ok_or_else(|| not_found(&media, server))?;
    serve::thumbnail(&media, &asking, file).await
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
