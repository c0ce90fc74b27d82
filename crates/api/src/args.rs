//! Requests as ruma's types.

use axum::RequestExt;
use axum::extract::{FromRequest, RawPathParams, Request};
use bytes::Bytes;
use http::StatusCode;
use ruma::api::{IncomingRequest, IncomingRequestExt};
use serde::de::IgnoredAny;

use crate::Error;
use crate::body::check_utf8;

/// The parsed request of an endpoint: path, query and body, checked by ruma's types.
pub(crate) struct Args<R>(pub(crate) R);

impl<R, S> FromRequest<S> for Args<R>
where
    R: IncomingRequest + Send,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(mut request: Request, _state: &S) -> Result<Self, Error> {
        let params = request
            .extract_parts::<RawPathParams>()
            .await
            .map_err(|_| Error::invalid_param("The path is not valid UTF-8."))?;
        let (parts, body) = request.with_limited_body().into_parts();
        let body = Bytes::from_request(Request::from_parts(parts.clone(), body), &())
            .await
            .map_err(|rejection| body_error(rejection.status()))?;
        check_utf8(&body)?;
        // Many clients send no body where all of it may be left out.
        let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
        // Serde reads an array as the fields in their order, which no client means.
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(Error::bad_json("The request's body is not a JSON object."));
        }
        let path_args: Vec<&str> = params.iter().map(|(_, value)| value).collect();
        let request = http::Request::from_parts(parts, body.as_ref());
        R::try_from_http_request(request, &path_args).map(Self).map_err(|error| refusal(&error, &body))
    }
}

/// The error for a body that could not be read.
pub(crate) fn body_error(status: StatusCode) -> Error {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        Error::new(status, "M_TOO_LARGE", "The request's body is too large.")
    } else {
        Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", "The request's body could not be read.")
    }
}

/// Tells "not JSON at all" from "JSON of another form", as the spec asks.
fn refusal(error: &dyn std::fmt::Display, body: &[u8]) -> Error {
    if !body.is_empty() && serde_json::from_slice::<IgnoredAny>(body).is_err() {
        return Error::new(StatusCode::BAD_REQUEST, "M_NOT_JSON", "The request's body is not valid JSON.");
    }
    Error::bad_json(format!("The request does not have the form this endpoint takes: {error}."))
}
