//! Answers from ruma's types, or from JSON at hand.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use ruma::api::{OutgoingResponse, OutgoingResponseExt};
use serde::Serialize;

use crate::Error;

/// A ruma response as HTTP.
pub(crate) struct Answer<R>(pub(crate) R);

impl<R: OutgoingResponse> IntoResponse for Answer<R> {
    fn into_response(self) -> Response {
        match self.0.try_into_http_response::<Vec<u8>>() {
            Ok(response) => response.map(Body::from),
            Err(error) => Error::internal(&error).into_response(),
        }
    }
}

/// JSON that is already written: hot answers are put together from stored bytes.
pub(crate) struct RawAnswer(pub(crate) Bytes);

impl RawAnswer {
    /// Writes a long answer of about this many bytes, into memory that is taken once.
    pub(crate) fn of_size(bytes: usize, answer: &impl Serialize) -> Result<Self, Error> {
        let mut json = Vec::with_capacity(bytes);
        serde_json::to_writer(&mut json, answer).map_err(|error| Error::internal(&error))?;
        Ok(Self(json.into()))
    }
}

impl IntoResponse for RawAnswer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.0));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
