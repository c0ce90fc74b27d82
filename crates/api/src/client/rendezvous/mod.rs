//! Where two devices meet for a sign-in by QR code, in the form that today's clients speak (MSC4108 as of 2024) and in the one
//! that is to follow it (MSC4388).
//!
//! Anybody may open a place, with or without an account, in both: the device that shows the code may be the new one. What keeps
//! that harmless are its bounds ([`myelin_oauth_core::rendezvous`]), and that no browser shows what is there as a page.

pub(crate) mod sequenced;
pub(crate) mod sequenced_place;
pub(crate) mod tagged;
pub(crate) mod tagged_place;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use myelin_auth::Auth;
use myelin_oauth_core::rendezvous::{MAX_BYTES, TooMany};

use crate::Error;
use crate::args::body_error;
use crate::state::Services;

/// The places, where OAuth 2.0 is served: the login that devices meet for is one of it.
pub(crate) struct Meetings(pub(crate) Arc<Auth>);

impl FromRequestParts<Services> for Meetings {
    type Rejection = Error;

    async fn from_request_parts(_parts: &mut Parts, services: &Services) -> Result<Self, Error> {
        let is_served = services.oauth.0.is_some();
        is_served.then(|| Self(Arc::clone(&services.auth))).ok_or_else(Error::unrecognized)
    }
}

/// A request that is no visit: what a stranger wrote is nothing for a browser to show (MSC4388, "Unsafe content").
pub(crate) struct NoVisit;

impl<S: Sync> FromRequestParts<S> for NoVisit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let says = |name: &str, value: &str| parts.headers.get(name).is_some_and(|said| said == value);
        if says("sec-fetch-mode", "navigate") || says("sec-fetch-dest", "document") {
            return Err(Error::forbidden("This is for clients, and not to be opened as a page."));
        }
        Ok(Self)
    }
}

/// 413 where a place can't hold so much.
fn check_size(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_BYTES {
        return Err(too_large());
    }
    Ok(())
}

fn too_large() -> Error {
    let message = format!("A rendezvous session holds at most {MAX_BYTES} bytes.");
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", message)
}

fn gone() -> Error {
    Error::not_found("There is no such rendezvous session, or not any more.")
}

/// The body as it was sent.
async fn bytes_of(request: Request) -> Result<Bytes, Error> {
    let body = axum::body::to_bytes(request.into_body(), MAX_BYTES).await;
    // What ends a body early can't be told from what makes it too long; either way nothing is kept of it.
    body.map_err(|_| body_error(StatusCode::PAYLOAD_TOO_LARGE))
}

impl From<TooMany> for Error {
    fn from(error: TooMany) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", error.to_string())
    }
}
