//! Logging in and out.

pub(crate) mod fallback;
pub(crate) mod get_token;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod logout_all;
pub(crate) mod refresh;
pub(crate) mod sso;

use http::StatusCode;
use myelin_auth::{DeviceProblem, Issued, LoginError, RefreshError};
use serde_json::{Map, Value};

use crate::Error;
use crate::error::SoftLogout;

/// What a client is told of a session that was opened for it.
pub(crate) fn told(issued: &Issued) -> Map<String, Value> {
    let mut body = tokens(issued);
    body.insert("user_id".to_owned(), issued.user_id.as_str().into());
    body.insert("device_id".to_owned(), issued.device_id.as_str().into());
    // Deprecated for years, and still read by tools.
    body.insert("home_server".to_owned(), issued.user_id.server_name().as_str().into());
    body
}

/// The tokens alone, as a refresh answers.
pub(crate) fn tokens(issued: &Issued) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("access_token".to_owned(), issued.access_token.expose().as_str().into());
    if let Some(refresh_token) = &issued.refresh_token {
        body.insert("refresh_token".to_owned(), refresh_token.expose().as_str().into());
    }
    if let Some(expires_in) = issued.expires_in {
        let millis = u64::try_from(expires_in.as_millis()).unwrap_or(u64::MAX);
        body.insert("expires_in_ms".to_owned(), millis.into());
    }
    body
}

impl From<DeviceProblem> for Error {
    fn from(problem: DeviceProblem) -> Self {
        let message = format!("The device can't be made: {problem}.");
        match problem {
            DeviceProblem::Id | DeviceProblem::DisplayName => Self::invalid_param(message),
            DeviceProblem::CrossSigningKey => Self::forbidden(message),
        }
    }
}

impl From<LoginError> for Error {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong => Self::forbidden("The user name or the password is wrong."),
            LoginError::Token => Self::forbidden("The login token is unknown, was used, or has expired."),
            LoginError::SecondFactor => Self::forbidden(
                "This account has a second factor, which this way of logging in can't ask for: log in through the browser \
                 (m.login.sso, or OAuth 2.0).",
            ),
            LoginError::Locked => Self::user_locked(),
            LoginError::Limited(wait) => Self::limit_exceeded(wait),
            LoginError::Busy => Self::busy(),
            LoginError::Directory => Self::directory_unreachable(),
            LoginError::Device(problem) => problem.into(),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<RefreshError> for Error {
    fn from(error: RefreshError) -> Self {
        let unknown = |soft_logout, message: &str| {
            Self::new(StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN", message)
                .with("soft_logout", soft_logout == SoftLogout::Yes)
        };
        match error {
            RefreshError::Unknown => unknown(SoftLogout::No, "The refresh token is unknown."),
            RefreshError::Spent => unknown(
                SoftLogout::Yes,
                "The refresh token has been used already; log in again with this device.",
            ),
            RefreshError::Oauth => Self::forbidden(
                "This session was opened by OAuth 2.0; its tokens are renewed at the token endpoint.",
            ),
            RefreshError::Locked => Self::user_locked(),
            RefreshError::Store(error) => error.into(),
        }
    }
}
