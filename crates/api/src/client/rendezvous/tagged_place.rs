//! `GET`, `PUT` and `DELETE /_matrix/client/unstable/org.matrix.msc4108/rendezvous/{id}` (MSC4108 as of 2024)

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use myelin_auth::MeetingForm;
use myelin_oauth_core::rendezvous::Written;

use super::tagged::{check_kind, headers, tag_of};
use super::{Meetings, NoVisit, bytes_of, gone};
use crate::Error;
use crate::object::Segments;

/// What the place holds, if that is news to the device.
pub(crate) async fn get(
    Meetings(auth): Meetings,
    _no_visit: NoVisit,
    Segments([id]): Segments<1>,
    asked: HeaderMap,
) -> Result<Response, Error> {
    let place = auth.look_at_meeting(MeetingForm::Tagged, &id).ok_or_else(gone)?;
    let mut said = headers(&place);
    // Clients compare it as it is.
    said.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if asked.get(header::IF_NONE_MATCH).is_some_and(|seen| *seen == *tag_of(&place)) {
        return Ok((StatusCode::NOT_MODIFIED, said).into_response());
    }
    Ok((StatusCode::OK, said, place.data).into_response())
}

/// Replaces what the place holds.
pub(crate) async fn put(
    Meetings(auth): Meetings,
    Segments([id]): Segments<1>,
    request: Request,
) -> Result<Response, Error> {
    check_kind(request.headers())?;
    let seen = seen(request.headers())?;
    let data = bytes_of(request).await?;
    match auth.write_to_meeting(MeetingForm::Tagged, &id, &seen, data) {
        Written::Yes(place) => Ok((StatusCode::ACCEPTED, headers(&place)).into_response()),
        Written::Stale(place) => {
            let message = "Somebody else wrote meanwhile: look at what there is first.";
            let error = Error::new(StatusCode::PRECONDITION_FAILED, "M_UNKNOWN", message);
            let error = error.with("org.matrix.msc4108.errcode", "M_CONCURRENT_WRITE");
            Ok((headers(&place), error).into_response())
        }
        Written::Gone => Err(gone()),
    }
}

/// The token of what the device saw: one strong tag, and nothing else.
fn seen(headers: &HeaderMap) -> Result<String, Error> {
    let Some(tag) = headers.get(header::IF_MATCH) else {
        return Err(Error::new(StatusCode::BAD_REQUEST, "M_MISSING_PARAM", "If-Match is missing."));
    };
    let token = tag.to_str().ok().and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
    let token = token.filter(|token| !token.contains('"'));
    token.map(str::to_owned).ok_or_else(|| Error::invalid_param("If-Match must be one strong entity tag."))
}

/// Closes the place.
pub(crate) async fn delete(
    Meetings(auth): Meetings,
    Segments([id]): Segments<1>,
) -> Result<StatusCode, Error> {
    let was_there = auth.close_meeting(MeetingForm::Tagged, &id);
    was_there.then_some(StatusCode::NO_CONTENT).ok_or_else(gone)
}
