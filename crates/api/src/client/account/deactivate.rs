//! `POST /_matrix/client/v3/account/deactivate`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Actor, Auth, Erase, Operation};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;
use crate::uia::{AuthDict, BY_PASSWORD, require};

/// The body of a deactivation.
#[derive(Deserialize)]
pub(crate) struct DeactivateBody {
    #[serde(default)]
    erase: bool,
    auth: Option<AuthDict>,
}

/// Deactivates the account of who asks. The server has bound no third-party id to an identity server, so there is
/// none to unbind.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Body(body): Body<DeactivateBody>,
) -> Result<Json<Value>, Error> {
    let parameters: &[u8] = if body.erase { b"erase" } else { b"keep" };
    let operation =
        Operation { name: "account.deactivate", asks: Some(&requester), parameters, flows: BY_PASSWORD };
    let passed = require(&auth, &operation, body.auth).await?;
    let erase = if body.erase { Erase::Yes } else { Erase::No };
    auth.deactivate(&Actor::from(&requester), &requester.user_id, erase).await?;
    auth.finish(&passed);
    Ok(Json(json!({ "id_server_unbind_result": "success" })))
}
