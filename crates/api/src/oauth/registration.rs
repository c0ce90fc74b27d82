//! `POST /oauth2/registration` (RFC 7591)
//! <https://spec.matrix.org/v1.19/client-server-api/#dynamic-client-registration-flow>

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{StatusCode, header};
use myelin_auth::Auth;
use myelin_oauth_core::client::ID_TOKEN_ALGORITHM;

use super::Failure;
use super::form::Raw;
use crate::ClientAddress;

/// Registers a client.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    address: Option<Extension<ClientAddress>>,
    Raw(body): Raw,
) -> Result<Response, Failure> {
    let address = address.map(|Extension(ClientAddress(address))| address);
    let client = auth.register_client(&body, address).await?;
    let mut fields = client.metadata.fields();
    // Whoever left it out is told what is meant (RFC 7591, section 3.2.1).
    fields.insert(ID_TOKEN_ALGORITHM.to_owned(), client.metadata.id_token_algorithm.as_str().into());
    fields.insert("client_id".to_owned(), client.client_id.into());
    fields.insert("client_id_issued_at".to_owned(), (client.registered_at / 1_000).into());
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(fields)).into_response())
}
