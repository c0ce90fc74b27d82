//! `POST /_matrix/client/v3/logout`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use serde_json::{Value, json};

use crate::Error;
use crate::access::Bearer;
use crate::body::Unused;

/// Ends the session and deletes its device.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Bearer(token): Bearer,
    _: Unused,
) -> Result<Json<Value>, Error> {
    auth.logout(&token).await?;
    Ok(Json(json!({})))
}
