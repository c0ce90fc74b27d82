//! `POST /_matrix/client/v1/login/get_token`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, Operation};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::error::SoftLogout;
use crate::uia::{AuthDict, BY_PASSWORD, require};

/// The body of the request.
#[derive(Deserialize)]
pub(crate) struct TokenBody {
    auth: Option<AuthDict>,
}

/// Makes a token by which another device can log in, once. The user is asked each time.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Body(body): Body<TokenBody>,
) -> Result<Json<Value>, Error> {
    if !auth.config().legacy.token {
        return Err(Error::unrecognized());
    }
    let operation =
        Operation { name: "login.get_token", asks: Some(&requester), parameters: b"", flows: BY_PASSWORD };
    let passed = require(&auth, &operation, body.auth).await?;
    auth.finish(&passed);
    let made = auth.login_token(&requester).await?.ok_or_else(|| Error::unknown_token(SoftLogout::No))?;
    let expires = u64::try_from(made.lifetime.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(json!({ "login_token": made.token.expose(), "expires_in_ms": expires })))
}
