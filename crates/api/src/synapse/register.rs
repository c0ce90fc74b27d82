//! `GET /_synapse/admin/v1/register`, `POST /_synapse/admin/v1/register`
//! <https://element-hq.github.io/synapse/latest/admin_api/register_api.html>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use myelin_auth::{Auth, NewSession, SharedSecretError, SharedSecretRegistration};
use myelin_runtime::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::body::Body;
use crate::client::session::told;

/// A registration proved by the shared secret.
#[derive(Deserialize)]
pub(crate) struct RegisterBody {
    nonce: String,
    username: String,
    password: String,
    #[serde(default)]
    admin: bool,
    user_type: Option<String>,
    mac: String,
    #[serde(default)]
    inhibit_login: bool,
}

/// Gives a nonce.
pub(crate) async fn get(State(auth): State<Arc<Auth>>) -> Result<Json<Value>, Error> {
    Ok(Json(json!({ "nonce": auth.registration_nonce()? })))
}

/// Makes an account.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Body(body): Body<RegisterBody>,
) -> Result<Json<Value>, Error> {
    let request = SharedSecretRegistration {
        nonce: body.nonce,
        name: body.username,
        password: Secret::new(body.password),
        is_admin: body.admin,
        user_type: body.user_type,
        mac: body.mac,
        session: (!body.inhibit_login).then(NewSession::default),
    };
    let created = auth.register_by_secret(request).await?;
    let answer = match &created.session {
        Some(issued) => Value::Object(told(issued)),
        None => json!({ "user_id": created.user_id, "home_server": created.user_id.server_name() }),
    };
    Ok(Json(answer))
}

impl From<SharedSecretError> for Error {
    fn from(error: SharedSecretError) -> Self {
        let refused = |status, message: &str| Self::new(status, "M_UNKNOWN", message);
        match error {
            SharedSecretError::Off => Self::unrecognized(),
            SharedSecretError::Nonce => {
                refused(StatusCode::BAD_REQUEST, "The nonce is unknown or has expired; get a new one.")
            }
            SharedSecretError::Mac => {
                Self::forbidden("The mac does not fit: is it made with this server's shared secret?")
            }
            SharedSecretError::Nul => {
                Self::invalid_param("The user name and the password can't contain the character NUL.")
            }
            SharedSecretError::Register(error) => error.into(),
        }
    }
}
