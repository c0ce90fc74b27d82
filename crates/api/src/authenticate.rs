//! `auth` as the door that every request passes.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::StatusCode;
use myelin_auth::{Auth, AuthenticateError, StoreError};
use myelin_model::Requester;

use crate::error::SoftLogout;
use crate::{Authenticate, Error};

impl Authenticate for Auth {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Requester, Error>> {
        Box::pin(async move { Ok(Self::authenticate(self, token).await?) })
    }

    fn authenticate_locked<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Requester, Error>> {
        Box::pin(async move {
            match Self::authenticate(self, token).await {
                Err(AuthenticateError::Locked(requester)) => Ok(*requester),
                other => Ok(other?),
            }
        })
    }

    fn seen(&self, requester: &Requester, address: Option<IpAddr>) {
        Self::seen(self, requester, address);
    }
}

impl From<AuthenticateError> for Error {
    fn from(error: AuthenticateError) -> Self {
        match error {
            AuthenticateError::Unknown => Self::unknown_token(SoftLogout::No),
            AuthenticateError::Expired => Self::unknown_token(SoftLogout::Yes),
            AuthenticateError::Locked(_) => Self::user_locked(),
            AuthenticateError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Read(error) => error.into(),
            StoreError::Commit(error) => error.into(),
            StoreError::Contended | StoreError::Unsealable | StoreError::Stopping => {
                Self::unavailable(&error)
            }
        }
    }
}

impl Error {
    /// The pool that hashes passwords is full: 429, to try again soon.
    pub(crate) fn busy() -> Self {
        Self::limit_exceeded(Duration::from_secs(1))
    }

    /// 503: whether a password is right is for the directory to say, and it can't be asked. The specification has no errcode for
    /// that, so it is one of this server's own (client-server API, "Standard error response"); `auth` has logged the cause.
    pub(crate) fn directory_unreachable() -> Self {
        let message =
            "The directory that knows the passwords can't be reached at the moment; try again later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "MYELIN_DIRECTORY_UNREACHABLE", message)
    }
}
