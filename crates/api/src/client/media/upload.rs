//! `POST /_matrix/media/v3/upload`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixmediav3upload>

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use http::request::Parts;
use http::{HeaderMap, header};
use myelin_media::{Media, NewFile};
use ruma::api::client::media::create_content::v3::Response;
use serde::Deserialize;

use super::error::{bad_content_type, upload_error};
use crate::Error;
use crate::access::Asks;
use crate::answer::Answer;
use crate::args::Query;

/// Stores the body as it comes: it is never whole in memory.
pub(crate) async fn post(
    State(media): State<Arc<Media>>,
    Asks(requester): Asks,
    Declared(file): Declared,
    body: Body,
) -> Result<Answer<Response>, Error> {
    let uri = media.upload(&requester, file, body.into_data_stream()).await.map_err(upload_error)?;
    Ok(Answer(Response::new(uri)))
}

/// What the query and the headers of an upload say about its file.
pub(crate) struct Declared(pub(crate) NewFile);

#[derive(Deserialize)]
struct UploadQuery {
    filename: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Declared {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Query(query) = Query::<UploadQuery>::from_request_parts(parts, state).await?;
        Ok(Self(NewFile {
            content_type: content_type(&parts.headers)?,
            filename: query.filename.filter(|name| !name.is_empty()),
            declared_size: content_length(&parts.headers),
        }))
    }
}

fn content_type(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(None) };
    let text = value.to_str().map_err(|_| bad_content_type())?.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
