//! `POST /oauth2/device` (RFC 8628, section 3.1)
//! <https://spec.matrix.org/v1.19/client-server-api/#device-authorisation-flow>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use myelin_auth::Auth;
use serde_json::json;

use super::Failure;
use super::form::Form;

/// Begins a login of a client without a browser.
pub(crate) async fn post(State(auth): State<Arc<Auth>>, Form(params): Form) -> Result<Response, Failure> {
    let client_id = params.require("client_id")?;
    let waiting = auth.authorize_device(client_id, params.get("scope")?.unwrap_or_default()).await?;
    let (uri, user_code) = (format!("{}/link", auth.config().public_url), waiting.user_code.shown());
    let body = json!({
        "device_code": waiting.device_code.expose(),
        "user_code": user_code,
        "verification_uri": uri,
        "verification_uri_complete": format!("{uri}?user_code={user_code}"),
        "expires_in": waiting.expires_in,
        "interval": waiting.interval,
    });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}
