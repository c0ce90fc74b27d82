//! Files as HTTP answers: streamed, cached for ever by whoever asked, and never run as a page of this origin
//! (client-server API, "Security considerations" and "Serving inline content" of the content repository).

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use myelin_media::{File, Media};
use ruma::ServerName;
use ruma::http_headers::{ContentDisposition, ContentDispositionType};

use super::error::{not_found, storage_error};
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

/// The file behind a URI.
pub(super) async fn lookup(media: &Media, server: &ServerName, media_id: &str) -> Result<File, Error> {
    let found = media.lookup(server, media_id).await.map_err(|error| storage_error(&error))?;
    found.ok_or_else(|| not_found(media, server))
}

/// A file as its uploader declared it.
pub(super) async fn download(media: &Media, asked: &HeaderMap, file: File) -> Result<Response, Error> {
    let kind = disposition_type(&file.content_type);
    let disposition = ContentDisposition::new(kind).with_filename(file.filename.clone());
    answer(media, asked, &file, &disposition).await
}

/// A picture that this server has looked at.
pub(super) async fn thumbnail(media: &Media, asked: &HeaderMap, file: File) -> Result<Response, Error> {
    let extension = match file.content_type.as_str() {
        "image/png" => "png",
        "image/gif" => "gif",
        "image/webp" => "webp",
        _ => "jpg",
    };
    let name = format!("thumbnail.{extension}");
    let disposition = ContentDisposition::new(ContentDispositionType::Inline).with_filename(Some(name));
    answer(media, asked, &file, &disposition).await
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
    asked: &HeaderMap,
    file: &File,
    disposition: &ContentDisposition,
) -> Result<Response, Error> {
    let tag = format!("\"{}\"", file.blob);
    let known = is_known(asked, &tag);
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let blob = media.read(file).await.map_err(|error| storage_error(&error))?;
        let mut response = Response::new(Body::from_stream(blob.bytes));
        response.headers_mut().insert(header::CONTENT_LENGTH, blob.size.into());
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, value(&file.content_type)?);
    headers.insert(header::CONTENT_DISPOSITION, value(&disposition.to_string())?);
    headers.insert(header::ETAG, value(&tag)?);
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    Ok(response)
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
