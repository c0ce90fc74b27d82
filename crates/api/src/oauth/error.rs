//! Errors of OAuth on the wire (RFC 6749, section 5.2; RFC 7591, section 3.2.2).

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use myelin_auth::{OauthError, StoreError};
use myelin_oauth_core::error::{ErrorCode, Refusal};
use serde_json::json;

use crate::Error;

/// When to come back, where nothing better is known.
const LATER: Duration = Duration::from_secs(5);

/// An error answer.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    refusal: Refusal,
    retry_after: Option<Duration>,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (status, retry_after) = match refusal.code {
            ErrorCode::InvalidClient => (StatusCode::UNAUTHORIZED, None),
            ErrorCode::TemporarilyUnavailable => (StatusCode::SERVICE_UNAVAILABLE, Some(LATER)),
            ErrorCode::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, None),
            _ => (StatusCode::BAD_REQUEST, None),
        };
        Self { status, refusal, retry_after }
    }
}

impl From<OauthError> for Failure {
    fn from(error: OauthError) -> Self {
        match error {
            OauthError::Refused(refusal) => refusal.into(),
            OauthError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        // Says in the log what happened.
        Error::from(error).into()
    }
}

impl From<Error> for Failure {
    /// What happens to a request before it is read. A rate limit is no 4xx: a client that is told one when it renews its
    /// tokens takes itself for logged out (client-server API, "Refresh token grant").
    fn from(error: Error) -> Self {
        let later = || Refusal::new(ErrorCode::TemporarilyUnavailable, "Not now; try again later.");
        match error.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Self { retry_after: error.retry_after().or(Some(LATER)), ..later().into() }
            }
            StatusCode::INTERNAL_SERVER_ERROR => {
                Refusal::new(ErrorCode::ServerError, "The server failed to answer.").into()
            }
            status => {
                let refusal = Refusal::new(ErrorCode::InvalidRequest, "The request could not be read.");
                Self { status, ..refusal.into() }
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body =
            json!({ "error": self.refusal.code.as_str(), "error_description": self.refusal.description });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
