//! `GET` and `POST /_myelin/admin/v1/registration_tokens`, `DELETE /_myelin/admin/v1/registration_tokens/{token}`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use myelin_auth::{Actor, Auth, NewRegistrationToken, TokenCreateError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Page, shown};
use crate::Error;
use crate::access::Asks;
use crate::args::Query;
use crate::body::{Body, Segment};

/// A registration token to be made.
#[derive(Deserialize)]
pub(crate) struct Wanted {
    /// Made up where it is left out.
    token: Option<String>,
    /// For how many accounts; for any number where it is left out.
    uses_allowed: Option<u32>,
    /// Until when, in milliseconds since the Unix epoch.
    expires_at: Option<i64>,
}

/// Lists them in the order of their text.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Error> {
    let limit = page.limit()?;
    let tokens = auth.registration_tokens(page.after.as_deref(), limit).await?;
    let next = tokens.last().filter(|_| tokens.len() == limit).map(|last| &last.token);
    let listed: Vec<Value> = tokens.iter().map(shown::registration_token).collect();
    Ok(Json(json!({ "registration_tokens": listed, "next": next })))
}

/// Makes one.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Value>, Error> {
    let Wanted { token, uses_allowed, expires_at } = wanted;
    let new = NewRegistrationToken { token, uses_allowed: uses_allowed.map(i64::from), expires_at };
    match auth.create_registration_token(&Actor::from(&requester), new).await {
        Ok(made) => Ok(Json(shown::registration_token(&made))),
        Err(TokenCreateError::Store(error)) => Err(error.into()),
        Err(TokenCreateError::Exists) => Err(Error::new(
            StatusCode::CONFLICT,
            "M_INVALID_PARAM",
            "There is such a registration token already.",
        )),
        Err(error) => Err(Error::invalid_param(format!("The token can't be made: {error}."))),
    }
}

/// Deletes one.
pub(crate) async fn delete(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Segment(token): Segment,
) -> Result<Json<Value>, Error> {
    if auth.delete_registration_token(&Actor::from(&requester), &token).await? {
        Ok(Json(json!({})))
    } else {
        Err(Error::not_found("There is no such registration token."))
    }
}
