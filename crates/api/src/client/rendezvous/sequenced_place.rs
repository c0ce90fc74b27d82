//! `GET`, `PUT` and `DELETE /_matrix/client/unstable/io.element.msc4388/rendezvous/{id}` (MSC4388)

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use myelin_auth::MeetingForm;
use myelin_oauth_core::rendezvous::Written;
use myelin_runtime::Env;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Meetings, NoVisit, check_size, gone};
use crate::Error;
use crate::body::{Body, Unused};
use crate::object::Segments;

#[derive(Deserialize)]
pub(crate) struct Writing {
    sequence_token: String,
    data: String,
}

/// What the place holds.
pub(crate) async fn get(
    Meetings(auth): Meetings,
    State(env): State<Env>,
    _no_visit: NoVisit,
    Segments([id]): Segments<1>,
) -> Result<Response, Error> {
    let place = auth.look_at_meeting(MeetingForm::Sequenced, &id).ok_or_else(gone)?;
    let now = i64::try_from(env.clock.now()).unwrap_or(i64::MAX);
    let body = json!({
        // It came as text.
        "data": String::from_utf8_lossy(&place.data),
        "sequence_token": place.token,
        "expires_in_ms": place.ends_at.saturating_sub(now),
    });
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, Json(body)).into_response())
}

/// Replaces what the place holds. A device whose answer was lost may write the same once more.
pub(crate) async fn put(
    Meetings(auth): Meetings,
    Segments([id]): Segments<1>,
    Body(writing): Body<Writing>,
) -> Result<Json<Value>, Error> {
    check_size(writing.data.len())?;
    let data = Bytes::from(writing.data);
    let written = auth.write_to_meeting(MeetingForm::Sequenced, &id, &writing.sequence_token, data.clone());
    let token = match written {
        Written::Yes(place) => place.token,
        Written::Stale(place) if place.data == data => place.token,
        Written::Stale(_) => {
            let message = "Somebody else wrote meanwhile: look at what there is first.";
            return Err(Error::new(StatusCode::CONFLICT, "IO_ELEMENT_MSC4388_CONCURRENT_WRITE", message));
        }
        Written::Gone => return Err(gone()),
    };
    Ok(Json(json!({ "sequence_token": token })))
}

/// Closes the place.
pub(crate) async fn delete(
    Meetings(auth): Meetings,
    Segments([id]): Segments<1>,
    _unused: Unused,
) -> Result<Json<Value>, Error> {
    let was_there = auth.close_meeting(MeetingForm::Sequenced, &id);
    was_there.then(|| Json(json!({}))).ok_or_else(gone)
}
