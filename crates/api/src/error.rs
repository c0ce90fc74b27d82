//! The one error of the HTTP edge: a status, a Matrix errcode, and a message that tells the caller what to do.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use myelin_store::CommitError;
use serde_json::{Map, Value, json};

/// An error answer in the spec's standard form (client-server API, "Standard error response").
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    /// Empty in the one answer that has none: see [`Error::challenge`].
    errcode: &'static str,
    message: String,
    extra: Map<String, Value>,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error with this status, errcode and message.
    #[must_use]
    pub fn new(status: StatusCode, errcode: &'static str, message: impl Into<String>) -> Self {
        Self { status, errcode, message: message.into(), extra: Map::new(), retry_after: None }
    }

    /// 401 with the body of user-interactive authentication, which carries no errcode unless an attempt failed
    /// (client-server API, "User-interactive API in the REST API").
    #[must_use]
    pub(crate) fn challenge(body: Map<String, Value>, refusal: Option<(&'static str, String)>) -> Self {
        let (errcode, message) = refusal.unwrap_or_default();
        Self { extra: body, ..Self::new(StatusCode::UNAUTHORIZED, errcode, message) }
    }

    /// Adds a field to the body, as some errcodes require.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    /// 404 `M_UNRECOGNIZED`: no such route.
    #[must_use]
    pub fn unrecognized() -> Self {
        Self::new(StatusCode::NOT_FOUND, "M_UNRECOGNIZED", "This server has no such endpoint.")
    }

    /// 404 `M_NOT_FOUND`.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "M_NOT_FOUND", message)
    }

    /// 403 `M_FORBIDDEN`.
    #[must_use]
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_FORBIDDEN", message)
    }

    /// 400 `M_INVALID_PARAM`.
    #[must_use]
    pub fn invalid_param(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_INVALID_PARAM", message)
    }

    /// 400 `M_BAD_JSON`: JSON, but not of the form this endpoint takes.
    #[must_use]
    pub fn bad_json(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_BAD_JSON", message)
    }

    /// 401 `M_MISSING_TOKEN`.
    #[must_use]
    pub fn missing_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "M_MISSING_TOKEN", "An access token is needed.")
    }

    /// 401 `M_UNKNOWN_TOKEN`. `soft_logout` tells the client to log in again and keep its keys.
    #[must_use]
    pub fn unknown_token(soft_logout: SoftLogout) -> Self {
        let soft = matches!(soft_logout, SoftLogout::Yes);
        Self::new(StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN", "The access token is unknown or has expired.")
            .with("soft_logout", soft)
    }

    /// 401 `M_USER_LOCKED`: the account is locked; its sessions wait (client-server API, "Account locking").
    #[must_use]
    pub fn user_locked() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "M_USER_LOCKED", "This account is locked.")
            .with("soft_logout", true)
    }

    /// 403 `M_USER_SUSPENDED`: the account is suspended and this is something others would see (client-server API,
    /// "Account suspension").
    #[must_use]
    pub fn user_suspended() -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_USER_SUSPENDED", "This account is suspended and may not do this.")
    }

    /// 400 `M_MISSING_PARAM`.
    #[must_use]
    pub fn missing_param(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "M_MISSING_PARAM", message)
    }

    /// 429 `M_LIMIT_EXCEEDED`, in both forms: the header and the older field of the body.
    #[must_use]
    pub fn limit_exceeded(wait: Duration) -> Self {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let mut error = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "M_LIMIT_EXCEEDED",
            "Too many requests; try again later.",
        )
        .with("retry_after_ms", millis);
        error.retry_after = Some(wait);
        error
    }

    /// 503: the server can't do it now, though the request is fine. The cause is logged, not sent.
    #[must_use]
    pub fn unavailable(cause: &dyn std::error::Error) -> Self {
        log_chain(cause);
        Self::not_now()
    }

    /// 503: the disk of the store is full. The store has said so in the log, once: a line for every request that fails
    /// meanwhile would not help.
    #[must_use]
    pub fn full() -> Self {
        tracing::debug!("a request failed: the disk is full");
        Self::not_now()
    }

    fn not_now() -> Self {
        let message = "The server can't do this at the moment; try again later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN", message)
    }

    /// 500: a bug or a damaged store. The cause is logged, not sent.
    #[must_use]
    pub fn internal(cause: &dyn std::error::Error) -> Self {
        log_chain(cause);
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN", "The server failed to answer.")
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// When to come back, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The errcode of the answer.
    #[must_use]
    pub fn errcode(&self) -> &'static str {
        self.errcode
    }
}

/// Whether a client that is logged out should keep its keys and log in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftLogout {
    /// The session can be renewed.
    Yes,
    /// The session is gone.
    No,
}

/// Logs an error with everything that caused it, once, here where it is handled.
fn log_chain(error: &dyn std::error::Error) {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push_str(": ");
        chain.push_str(&cause.to_string());
        source = cause.source();
    }
    tracing::error!(error = chain, "a request failed");
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut body = self.extra;
        if !self.errcode.is_empty() {
            body.insert("errcode".to_owned(), json!(self.errcode));
            body.insert("error".to_owned(), json!(self.message));
        }
        let mut response = (self.status, axum::Json(Value::Object(body))).into_response();
        if let Some(wait) = self.retry_after {
            let seconds = HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<myelin_store::ReadError> for Error {
    fn from(error: myelin_store::ReadError) -> Self {
        match error {
            myelin_store::ReadError::Damaged(_) => Self::internal(&error),
            _ => Self::unavailable(&error),
        }
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Full => Self::full(),
            other => Self::unavailable(&other),
        }
    }
}
