//! `PUT /_matrix/media/v3/upload/{serverName}/{mediaId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#put_matrixmediav3uploadservernamemediaid>

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use myelin_media::{Media, UploadError};
use ruma::OwnedServerName;
use serde_json::{Value, json};

use super::error::upload_error;
use super::upload::Declared;
use crate::Error;
use crate::access::Asks;
use crate::args::Path;

/// Stores the file of a URI that was created before.
pub(crate) async fn put(
    State(media): State<Arc<Media>>,
    Asks(requester): Asks,
    Path((server, media_id)): Path<(OwnedServerName, String)>,
    Declared(file): Declared,
    body: Body,
) -> Result<Json<Value>, Error> {
    if !media.is_local(&server) {
        return Err(upload_error(UploadError::NotCreated));
    }
    let stored = media.upload_to(&requester, &media_id, file, body.into_data_stream()).await;
    stored.map_err(upload_error)?;
    Ok(Json(json!({})))
}
