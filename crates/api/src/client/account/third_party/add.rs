//! `POST /_matrix/client/v3/account/3pid/add`, and its older form `POST /_matrix/client/v3/account/3pid`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidadd>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, Operation};
use myelin_model::Requester;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Credentials;
use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::uia::{AuthDict, BY_PASSWORD, require};

/// Which address to add.
#[derive(Deserialize)]
pub(crate) struct AddBody {
    sid: String,
    client_secret: String,
    auth: Option<AuthDict>,
}

/// The older form of it.
#[derive(Deserialize)]
pub(crate) struct OldBody {
    three_pid_creds: Credentials,
    auth: Option<AuthDict>,
}

/// Adds an address that was confirmed.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Body(body): Body<AddBody>,
) -> Result<Json<Value>, Error> {
    let credentials = Credentials { sid: body.sid, client_secret: body.client_secret };
    add(&auth, &requester, credentials, body.auth).await
}

/// The same by its older form. It takes the password like the newer one: whoever adds an address can have a new password
/// sent to it, so an access token alone must not be enough.
pub(crate) async fn post_old(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Body(body): Body<OldBody>,
) -> Result<Json<Value>, Error> {
    add(&auth, &requester, body.three_pid_creds, body.auth).await
}

async fn add(
    auth: &Auth,
    requester: &Requester,
    credentials: Credentials,
    dict: Option<AuthDict>,
) -> Result<Json<Value>, Error> {
    let operation = Operation {
        name: "account.3pid.add",
        asks: Some(requester),
        parameters: credentials.sid.as_bytes(),
        flows: BY_PASSWORD,
    };
    let passed = require(auth, &operation, dict).await?;
    auth.add_email(requester, &credentials.into()).await?;
    auth.finish(&passed);
    Ok(Json(json!({})))
}
