//! `GET /_matrix/federation/v1/openid/userinfo`
//! <https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1openiduserinfo>
//!
//! Called by identity servers, widgets and the like, not by homeservers: the request is not signed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::Auth;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::args::Query;
use crate::error::SoftLogout;

#[derive(Deserialize)]
pub(crate) struct UserinfoQuery {
    access_token: Option<String>,
}

pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Query(query): Query<UserinfoQuery>,
) -> Result<Json<Value>, Error> {
    let unknown = || Error::unknown_token(SoftLogout::No);
    let token = query.access_token.ok_or_else(unknown)?;
    let user_id = auth.openid_user(&token).await?.ok_or_else(unknown)?;
    Ok(Json(json!({ "sub": user_id })))
}
