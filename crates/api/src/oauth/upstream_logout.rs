//! `POST /oauth2/upstream/{id}/logout` (OpenID Connect Back-Channel Logout 1.0, section 2.5)

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use myelin_auth::{Auth, UpstreamError};
use myelin_oauth_core::error::{ErrorCode, Refusal};

use super::Failure;
use super::form::Form;
use crate::Error;
use crate::object::Segments;

/// A provider tells that somebody signed out there: what they began in that session ends.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    path: Result<Segments<1>, Error>,
    Form(params): Form,
) -> Result<Response, Failure> {
    let Segments([id]) = path?;
    let token = params.require("logout_token")?;
    let refused = |why: &'static str| Refusal::new(ErrorCode::InvalidRequest, why).into();
    match auth.upstream_logout(&id, token).await {
        Ok(()) => Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response()),
        Err(UpstreamError::Store(error)) => Err(error.into()),
        Err(UpstreamError::Unknown) => Err(refused("There is no provider of this id.")),
        Err(error) => {
            tracing::warn!(provider = id, %error, "a logout token was not taken");
            Err(refused("The logout token can't be trusted, is none, or was used before."))
        }
    }
}
