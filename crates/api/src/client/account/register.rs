//! `POST /_matrix/client/v3/register`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register>

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use myelin_auth::{Actor, Auth, NewAccount, NewSession, Operation, RefreshTokens, Stage};
use myelin_runtime::Secret;
use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::body::Body;
use crate::client::session::told;
use crate::uia::{AuthDict, require};

/// The body of a registration.
#[derive(Deserialize)]
pub(crate) struct RegisterBody {
    #[serde(rename = "type")]
    kind: Option<String>,
    username: Option<String>,
    password: Option<String>,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    inhibit_login: bool,
    #[serde(default)]
    refresh_token: bool,
    auth: Option<AuthDict>,
}

/// Makes an account.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    RawQuery(query): RawQuery,
    Body(body): Body<RegisterBody>,
) -> Result<Json<Value>, Error> {
    if query.is_some_and(|query| query.split('&').any(|pair| pair == "kind=guest")) {
        // Whole or not at all: see docs/adr/005-no-guests.md.
        let message = "This server has no guest accounts.";
        return Err(Error::new(http::StatusCode::FORBIDDEN, "M_GUEST_ACCESS_FORBIDDEN", message));
    }
    if body.kind.as_deref() == Some("m.login.application_service") {
        return Err(Error::forbidden("No application service is registered with this token."));
    }
    let flows = auth.registration_flows()?;
    let flows: Vec<&[Stage]> = flows.iter().map(Vec::as_slice).collect();
    let user_id = match &body.username {
        Some(name) => auth.available(name).await?,
        None => auth.made_up_name()?,
    };
    // Clients ask for the flows before they have a name and a password: nothing of the request is bound.
    let operation = Operation { name: "register", asks: None, parameters: b"", flows: &flows };
    let passed = require(&auth, &operation, body.auth).await?;
    let password = body.password.ok_or_else(|| Error::missing_param("The password is missing."))?;
    let session = NewSession {
        device_id: body.device_id,
        display_name: body.initial_device_display_name,
        refresh: if body.refresh_token { RefreshTokens::Supported } else { RefreshTokens::Unsupported },
    };
    let new = NewAccount {
        registration_token: passed.registration_token.clone(),
        email: passed.email.clone(),
        session: (!body.inhibit_login).then_some(session),
        // Where there are any, no flow ends without them.
        accepts_terms: true,
        ..NewAccount::new(user_id.clone(), Secret::new(password))
    };
    let created = auth.create_account(&Actor::User(user_id), new).await?;
    auth.finish(&passed);
    let answer = match &created.session {
        Some(issued) => Value::Object(told(issued)),
        None => json!({ "user_id": created.user_id, "home_server": created.user_id.server_name() }),
    };
    Ok(Json(answer))
}
