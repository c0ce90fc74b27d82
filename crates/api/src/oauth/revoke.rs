//! `POST /oauth2/revoke` (RFC 7009)
//! <https://spec.matrix.org/v1.19/client-server-api/#token-revocation>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use myelin_auth::Auth;
use serde_json::json;

use super::Failure;
use super::form::Form;

/// Ends the session of a token, whoever brings it. One that is unknown has ended already.
pub(crate) async fn post(State(auth): State<Arc<Auth>>, Form(params): Form) -> Result<Response, Failure> {
    auth.revoke(params.require("token")?).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(json!({}))).into_response())
}
