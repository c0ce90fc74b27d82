//! Files as HTTP answers: streamed, cached for ever by whoever asked, and never run as a page of this origin
//! (client-server API, "Security considerations" and "Serving inline content" of the content repository).

use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use myelin_media::{Arrival, File, Media};
use ruma::ServerName;
use ruma::http_headers::{ContentDisposition, ContentDispositionType};

use super::error::{not_found, not_yet_uploaded, storage_error};
use super::range::{self, Asked};
use crate::Error;

/// Types that a browser may show, from the spec's list.
const INLINE: &[&str] = &[
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// The policy that the spec recommends: whatever the file is, it runs no script and loads nothing.
const POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; \
     object-src 'self';",
);

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The content behind a URI never changes; `private`, since a proxy must not hand it to others.
const CACHE: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// How a file is asked for: which part of it, and what the client has already.
pub(crate) struct Asking {
    method: Method,
    headers: HeaderMap,
}

impl<S: Sync> FromRequestParts<S> for Asking {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self { method: parts.method.clone(), headers: parts.headers.clone() })
    }
}

/// The file behind a URI. Where it is still to be uploaded, the answer waits for it.
pub(super) async fn lookup(
    media: &Media,
    server: &ServerName,
    media_id: &str,
    patience: Duration,
) -> Result<File, Error> {
    let look = async || media.lookup(server, media_id).await.map_err(|error| storage_error(&error));
    if let Some(file) = look().await? {
        return Ok(file);
    }
    wait(media, server, media_id, patience).await?;
    look().await?.ok_or_else(|| not_found(media, server))
}

/// Waits until a file has been uploaded; fails where it has not been, and where there is nothing to wait for.
pub(super) async fn wait(
    media: &Media,
    server: &ServerName,
    media_id: &str,
    patience: Duration,
) -> Result<(), Error> {
    let arrival = media.arrival(server, media_id, patience).await;
    match arrival.map_err(|error| storage_error(&error))? {
        Arrival::Uploaded => Ok(()),
        Arrival::NotYet => Err(not_yet_uploaded()),
        Arrival::Never => Err(not_found(media, server)),
    }
}

/// A file as its uploader declared it.
pub(super) async fn download(media: &Media, asking: &Asking, file: File) -> Result<Response, Error> {
    let kind = disposition_type(&file.content_type);
    let disposition = ContentDisposition::new(kind).with_filename(file.filename.clone());
    answer(media, asking, &file, &disposition).await
}

/// A picture that this server has looked at.
pub(super) async fn thumbnail(media: &Media, asking: &Asking, file: File) -> Result<Response, Error> {
    let extension = match file.content_type.as_str() {
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        _ => "jpg",
    };
    let name = format!("thumbnail.{extension}");
    let disposition = ContentDisposition::new(ContentDispositionType::Inline).with_filename(Some(name));
    answer(media, asking, &file, &disposition).await
}

/// Whether a browser may show what is declared as this type. One with a comma may be read as several types, of which
/// the last would count.
fn disposition_type(content_type: &str) -> ContentDispositionType {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let safe = INLINE.iter().any(|safe| safe.eq_ignore_ascii_case(essence));
    if safe && !content_type.contains(',') {
        ContentDispositionType::Inline
    } else {
        ContentDispositionType::Attachment
    }
}

async fn answer(
    media: &Media,
    asking: &Asking,
    file: &File,
    disposition: &ContentDisposition,
) -> Result<Response, Error> {
    let tag = format!("\"{}\"", file.blob);
    let mut response = if is_known(&asking.headers, &tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        content(media, asking, file, &tag).await?
    };
    let is_file = response.status() != StatusCode::RANGE_NOT_SATISFIABLE;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if !is_file {
        return Ok(response);
    }
    headers.insert(header::CONTENT_TYPE, value(&file.content_type)?);
    headers.insert(header::CONTENT_DISPOSITION, value(&disposition.to_string())?);
    headers.insert(header::ETAG, value(&tag)?);
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}

/// The bytes, or those that were asked for.
async fn content(media: &Media, asking: &Asking, file: &File, tag: &str) -> Result<Response, Error> {
    let size = file.size;
    if asking.method == Method::HEAD {
        // Ranges are of GET only; and nobody reads the file to tell its length.
        let mut response = empty(StatusCode::OK);
        response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
        return Ok(response);
    }
    let (part, place) = match range::asked(&asking.headers, size, tag) {
        Asked::Beyond => {
            let message = format!("The file has {size} bytes, and none of them is in the range asked for.");
            let refusal = Error::new(StatusCode::RANGE_NOT_SATISFIABLE, "M_INVALID_PARAM", message);
            let mut response = refusal.into_response();
            response.headers_mut().insert(header::CONTENT_RANGE, value(&format!("bytes */{size}"))?);
            return Ok(response);
        }
        Asked::Whole => (0..size, None),
        Asked::Part(part) => {
            let place = format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1));
            (part, Some(place))
        }
    };
    let length = part.end.saturating_sub(part.start);
    let blob = media.read_part(file, part).await.map_err(|error| storage_error(&error))?;
    let mut response = Response::new(Body::from_stream(blob.bytes));
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    if let Some(place) = place {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        response.headers_mut().insert(header::CONTENT_RANGE, value(&place)?);
    }
    Ok(response)
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Whether the client has this content already (RFC 9110, section 13.1.2).
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let lists = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|error| Error::internal(&error))
}
