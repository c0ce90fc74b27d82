//! `POST /_matrix/client/v3/refresh`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::body::Body;
use crate::client::session::tokens;

/// The body of a refresh.
#[derive(Deserialize)]
pub(crate) struct RefreshBody {
    refresh_token: String,
}

/// Issues new tokens.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Body(body): Body<RefreshBody>,
) -> Result<Json<Value>, Error> {
    let issued = auth.refresh(&body.refresh_token).await?;
    Ok(Json(Value::Object(tokens(&issued))))
}
