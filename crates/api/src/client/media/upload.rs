//! `POST /_matrix/media/v3/upload`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload>

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::{HeaderMap, header};
use myelin_media::{Media, NewFile};
use ruma::api::client::media::create_content::v3::Response;
use serde::Deserialize;

use super::error::{bad_content_type, upload_error};
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;

#[derive(Deserialize)]
pub(crate) struct UploadQuery {
    filename: Option<String>,
}

/// Stores the body as it comes: it is never whole in memory.
pub(crate) async fn post(
    State(media): State<Arc<Media>>,
    Asks(requester): Asks,
    query: Result<Query<UploadQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Answer<Response>, Error> {
    let Query(query) = query.map_err(|_| Error::invalid_param("The query is not valid."))?;
    let file = NewFile {
        content_type: content_type(&headers)?,
        filename: query.filename.filter(|name| !name.is_empty()),
        declared_size: content_length(&headers),
    };
    let uri = media.upload(&requester, file, body.into_data_stream()).await.map_err(upload_error)?;
    Ok(Answer(Response::new(uri)))
}

fn content_type(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(None) };
    let text = value.to_str().map_err(|_| bad_content_type())?.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
