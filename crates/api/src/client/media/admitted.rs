//! Who may have media.

use axum::extract::FromRequestParts;
use http::request::Parts;
use myelin_model::Requester;

use crate::Error;

/// Somebody with a session: every handler that serves media takes one.
///
/// The deprecated paths are frozen, as the spec asks since version 1.12: what was uploaded before the freeze may be
/// had there without a session, and this server has never had another state. So they serve those only who send
/// their token all the same, as bridges and bots do; to all others there is nothing.
/// <https://spec.matrix.org/v1.19/client-server-api/#content-repo-client-behaviour>
pub(crate) struct Admitted;

impl<S: Sync> FromRequestParts<S> for Admitted {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let message = "Media is served with authentication only: see /_matrix/client/v1/media.";
        parts.extensions.get::<Requester>().map(|_| Self).ok_or_else(|| Error::not_found(message))
    }
}
