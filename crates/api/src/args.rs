//! Requests as ruma's types.

use axum::RequestExt;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use ruma::api::error::{DeserializationError, FromHttpRequestError};
use ruma::api::{IncomingRequest, IncomingRequestExt};
use serde::de::DeserializeOwned;

use crate::Error;
use crate::body::{check, of_form};

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
        // Many clients send no body where all of it may be left out.
        let body = if body.is_empty() { Bytes::from_static(b"{}") } else { body };
        if request_has_body(&parts.method) {
            check(&body)?;
        }
        let path_args: Vec<&str> = params.iter().map(|(_, value)| value).collect();
        let request = http::Request::from_parts(parts, body.as_ref());
        R::try_from_http_request(request, &path_args).map(Self).map_err(refusal)
    }
}

/// The query, or the part of it that ruma's types know less of than this server.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(asked)| Self(asked)).map_err(|error| of_address(&error.body_text()))
    }
}

/// The variable segments of the path, as what they have to be.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(named)| Self(named)).map_err(|error| of_address(&error.body_text()))
    }
}

/// The body as it was sent, which may be empty.
pub(crate) struct Whole(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Whole {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Error> {
        let body = Bytes::from_request(request.with_limited_body(), &()).await;
        body.map(Self).map_err(|rejection| body_error(rejection.status()))
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

/// Whether a request under this method says something by its body. That of a `GET` means nothing (RFC 9110, section
/// 9.3.1).
fn request_has_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Tells what is wrong with the path, the query or a header from what is wrong with the form of the body.
fn refusal(error: FromHttpRequestError) -> Error {
    match error {
        FromHttpRequestError::Deserialization(
            error @ (DeserializationError::Query(_)
            | DeserializationError::Ident(_)
            | DeserializationError::Header(_)),
        ) => of_address(&error.to_string()),
        FromHttpRequestError::Deserialization(DeserializationError::Json(error)) => of_form(&error),
        error => Error::bad_json(format!("The request does not have the form this endpoint takes: {error}.")),
    }
}

/// The error for a path or a query that can't be read.
fn of_address(problem: &str) -> Error {
    // What axum says comes after what it did.
    let problem = problem.split_once("query string: ").map_or(problem, |(_, problem)| problem);
    if problem.starts_with("missing field") || problem.starts_with("missing header") {
        return Error::missing_param(format!("The request lacks a parameter: {problem}."));
    }
    Error::invalid_param(format!("A parameter of the path or the query does not make sense: {problem}."))
}
