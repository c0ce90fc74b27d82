//! `POST /_matrix/client/v3/account/3pid/delete`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3piddelete>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Asks;
use crate::body::Body;

/// Which address goes.
#[derive(Deserialize)]
pub(crate) struct DeleteBody {
    medium: String,
    address: String,
}

/// Takes an address from the account. It was bound to no identity server through this one, which therefore can't unbind it
/// from any.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Body(body): Body<DeleteBody>,
) -> Result<Json<Value>, Error> {
    auth.delete_third_party_id(&requester, &body.medium, &body.address).await?;
    Ok(Json(json!({ "id_server_unbind_result": "no-support" })))
}
