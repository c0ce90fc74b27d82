//! `POST /_matrix/client/v3/account/password`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, Operation, OtherSessions};
use myelin_runtime::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::uia::{AuthDict, BY_PASSWORD, require};

/// The body of a change of password.
#[derive(Deserialize)]
pub(crate) struct PasswordBody {
    new_password: Option<String>,
    logout_devices: Option<bool>,
    auth: Option<AuthDict>,
}

/// Changes the password of who asks and can show the old one.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Body(body): Body<PasswordBody>,
) -> Result<Json<Value>, Error> {
    // The old password is shown in the very request that carries the new one, so that nothing need be bound.
    let operation =
        Operation { name: "account.password", asks: Some(&requester), parameters: b"", flows: BY_PASSWORD };
    let passed = require(&auth, &operation, body.auth).await?;
    let password = body.new_password.ok_or_else(|| Error::missing_param("The new password is missing."))?;
    let others = if body.logout_devices.unwrap_or(true) { OtherSessions::End } else { OtherSessions::Keep };
    auth.change_password(&requester, Secret::new(password), others).await?;
    auth.finish(&passed);
    Ok(Json(json!({})))
}
