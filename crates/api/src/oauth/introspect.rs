//! `POST /oauth2/introspect` (RFC 7662): what a service may know of a token that is trusted by the operator.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use myelin_auth::{Auth, Introspection};
use myelin_oauth_core::error::{ErrorCode, Refusal};
use serde_json::{Value, json};

use super::Failure;
use super::form::Form;

/// Tells a trusted service about a token. It shows its secret as a bearer, or as the password of HTTP Basic.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    headers: HeaderMap,
    Form(params): Form,
) -> Result<Response, Failure> {
    if !secret(&headers).is_some_and(|secret| auth.may_introspect(&secret)) {
        let refusal = Refusal::new(ErrorCode::InvalidClient, "The service's secret is missing or wrong.");
        let mut response = Failure::from(refusal).into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return Ok(response);
    }
    let found = auth.introspect(params.require("token")?).await?;
    let body = found.map_or_else(|| json!({ "active": false }), |found| told(&found, &auth));
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

fn told(found: &Introspection, auth: &Auth) -> Value {
    let mut body = json!({
        "active": true,
        "scope": found.scope,
        "sub": found.user_id,
        "username": found.user_id.localpart(),
        "device_id": found.device_id,
        "token_type": found.token_type,
        "iss": myelin_oauth_core::metadata::issuer(&auth.config().public_url),
    });
    if let Some(client_id) = &found.client_id {
        body["client_id"] = json!(client_id);
    }
    if let Some(expires_at) = found.expires_at {
        body["exp"] = json!(expires_at / 1_000);
    }
    body
}

fn secret(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};

    use super::secret;

    #[test]
    fn a_secret_is_read_as_a_bearer_or_as_the_password_of_basic() {
        let read = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            secret(&headers)
        };
        assert_eq!(read("Bearer s3cret").as_deref(), Some("s3cret"));
        assert_eq!(read("basic c2VydmljZTpzM2M6cmV0").as_deref(), Some("s3c:ret"));
        for nonsense in ["Basic !!", "Basic c2VydmljZQ==", "Digest x", "Bearer"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
        assert_eq!(secret(&HeaderMap::new()), None);
    }
}
