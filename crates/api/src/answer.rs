//! Answers from ruma's types, or from JSON at hand.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Frame, SizeHint};
use myelin_sync::SendInFlight;
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

/// The answer to a send, which counts as under way until the answer was written or given up.
pub(crate) fn answering(sending: SendInFlight, answer: impl IntoResponse) -> Response {
    answer.into_response().map(|body| Body::new(Answering { body, _sending: sending }))
}

struct Answering {
    body: Body,
    _sending: SendInFlight,
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
