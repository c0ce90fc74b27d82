//! `POST /_matrix/client/v3/account/3pid/unbind`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidunbind>

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Asks;
use crate::body::Body;

/// What to unbind.
#[derive(Deserialize)]
pub(crate) struct UnbindBody {
    #[serde(rename = "medium")]
    _medium: String,
    #[serde(rename = "address")]
    _address: String,
}

/// Tells that it can't: nothing was bound through this server.
pub(crate) async fn post(_: Asks, _: Body<UnbindBody>) -> Json<Value> {
    Json(json!({ "id_server_unbind_result": "no-support" }))
}
