//! `GET /_matrix/client/v1/auth_metadata` and the well-known documents that say the same (RFC 8414)
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1auth_metadata>

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use crate::Error;
use crate::state::Oauth;

/// What the authorization server says of itself.
pub(crate) async fn get(State(Oauth(metadata)): State<Oauth>) -> Result<Response, Error> {
    let metadata = metadata.ok_or_else(Error::unrecognized)?;
    Ok(([(header::CACHE_CONTROL, "public, max-age=600")], Json(&*metadata)).into_response())
}
