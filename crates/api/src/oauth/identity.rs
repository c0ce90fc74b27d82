//! Who somebody is: `GET` and `POST /oauth2/userinfo` (OpenID Connect Core 1.0, section 5.3), `GET /oauth2/keys` (RFC 7517) and
//! `GET /.well-known/openid-configuration` (Discovery 1.0, section 4).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use myelin_auth::Auth;
use myelin_oauth_core::error::{ErrorCode, Refusal};
use myelin_oauth_core::identity::IdentityMetadata;

use super::Failure;
use crate::Error;
use crate::state::Oauth;

/// What the server says of itself to clients of OpenID Connect.
pub(crate) async fn metadata(State(Oauth(metadata)): State<Oauth>) -> Result<Response, Error> {
    let metadata = metadata.ok_or_else(Error::unrecognized)?;
    let document = IdentityMetadata::new(&metadata);
    Ok(([(header::CACHE_CONTROL, "public, max-age=600")], Json(document)).into_response())
}

/// The keys that sign ID tokens.
pub(crate) async fn keys(
    State(oauth): State<Oauth>,
    State(auth): State<Arc<Auth>>,
) -> Result<Response, Error> {
    if oauth.0.is_none() {
        return Err(Error::unrecognized());
    }
    Ok(([(header::CACHE_CONTROL, "public, max-age=3600")], Json(auth.identity_keys().await?)).into_response())
}

/// What a client may know of the person that it was told of.
pub(crate) async fn userinfo(State(auth): State<Arc<Auth>>, headers: HeaderMap) -> Result<Response, Failure> {
    let told = match bearer(&headers) {
        Some(token) => auth.userinfo(token).await?,
        None => None,
    };
    let Some(told) = told else {
        // The dialect has no code of its own for this (RFC 6750, section 3.1).
        let refusal =
            Refusal::new(ErrorCode::InvalidClient, "The access token is missing, unknown or has expired.");
        let mut response = Failure::from(refusal).into_response();
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return Ok(response);
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(told)).into_response())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
