//! `POST /_myelin/admin/v1/invitations`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Actor, Auth, InviteError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::shown;
use crate::Error;
use crate::access::Asks;
use crate::body::Body;

/// How long an invitation is good that says nothing, and at most, in seconds.
const WEEK: u32 = 7 * 86_400;
const YEAR: u32 = 365 * 86_400;

#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    admin: bool,
    lifetime: Option<u32>,
}

/// Makes a link by which somebody makes an account, once, whoever else may make one.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    Asks(requester): Asks,
    Body(wanted): Body<Wanted>,
) -> Result<Json<Value>, Error> {
    if !auth.config().oauth.enabled {
        return Err(Error::forbidden("Invitations lead to the pages, which are switched off."));
    }
    let lifetime = wanted.lifetime.unwrap_or(WEEK);
    if !(1..=YEAR).contains(&lifetime) {
        return Err(Error::invalid_param("The lifetime is a number of seconds, up to a year."));
    }
    let millis = i64::from(lifetime) * 1_000;
    match auth.invite(&Actor::from(&requester), wanted.admin, millis).await {
        Ok(shown) => {
            let link = shown::invitation_link(&auth.config().public_url, shown.expose());
            Ok(Json(json!({ "link": link, "lifetime": lifetime })))
        }
        Err(InviteError::TooMany) => {
            Err(Error::forbidden("There are ten thousand invitations that nobody has used."))
        }
        Err(InviteError::Store(error)) => Err(error.into()),
    }
}
