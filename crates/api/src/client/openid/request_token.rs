//! `POST /_matrix/client/v3/user/{userId}/openid/request_token`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridopenidrequest_token>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, OpenIdError};
use serde_json::{Value, json};

use crate::access::Asks;
use crate::body::Unused;
use crate::object::UserPath;
use crate::{Error, ServerName};

pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    State(ServerName(server_name)): State<ServerName>,
    Asks(requester): Asks,
    UserPath(user_id, []): UserPath<0>,
    _: Unused,
) -> Result<Json<Value>, Error> {
    let made = auth.openid_token(&requester, &user_id).await?;
    Ok(Json(json!({
        "access_token": made.token.expose(),
        "token_type": "Bearer",
        "matrix_server_name": server_name,
        "expires_in": made.lifetime.as_secs(),
    })))
}

impl From<OpenIdError> for Error {
    fn from(error: OpenIdError) -> Self {
        match error {
            OpenIdError::NotYours => Self::forbidden("You can get an OpenID token for yourself only."),
            OpenIdError::Store(error) => error.into(),
        }
    }
}
