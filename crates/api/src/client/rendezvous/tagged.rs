//! `POST /_matrix/client/unstable/org.matrix.msc4108/rendezvous` (MSC4108 as of 2024)

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use httpdate::fmt_http_date;
use myelin_auth::MeetingForm;
use myelin_oauth_core::rendezvous::Place;
use serde_json::json;
use std::time::{Duration, UNIX_EPOCH};

use super::{Meetings, bytes_of};
use crate::{ClientAddress, Error};

/// What a device may send.
const KIND: &str = "text/plain";

/// Opens a place.
pub(crate) async fn post(
    Meetings(auth): Meetings,
    address: Option<Extension<ClientAddress>>,
    request: Request,
) -> Result<Response, Error> {
    check_kind(request.headers())?;
    let data = bytes_of(request).await?;
    let address = address.map(|Extension(ClientAddress(address))| address);
    let (id, place) = auth.open_meeting(MeetingForm::Tagged, address, data)?;
    let base = &auth.config().public_url;
    let url = format!("{base}/_matrix/client/unstable/org.matrix.msc4108/rendezvous/{id}");
    Ok((StatusCode::CREATED, headers(&place), Json(json!({ "url": url }))).into_response())
}

/// Refuses a body that says it is something else. Its length need not be said: where it is not the body is counted.
pub(super) fn check_kind(headers: &HeaderMap) -> Result<(), Error> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_MISSING_PARAM", "Content-Type is missing."));
    };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(KIND) {
        return Err(Error::invalid_param("Content-Type must be text/plain."));
    }
    Ok(())
}

/// What every answer about a place says of it.
pub(super) fn headers(place: &Place) -> HeaderMap {
    let date = |at: i64| {
        let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default());
        HeaderValue::try_from(fmt_http_date(at)).ok()
    };
    let said = [
        (header::ETAG, HeaderValue::try_from(tag_of(place)).ok()),
        (header::EXPIRES, date(place.ends_at)),
        (header::LAST_MODIFIED, date(place.written_at)),
        (header::CACHE_CONTROL, Some(HeaderValue::from_static("no-store"))),
        (header::PRAGMA, Some(HeaderValue::from_static("no-cache"))),
        (header::X_CONTENT_TYPE_OPTIONS, Some(HeaderValue::from_static("nosniff"))),
    ];
    said.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The entity tag of what a place holds (RFC 9110, section 8.8.3).
pub(super) fn tag_of(place: &Place) -> String {
    format!("\"{}\"", place.token)
}
