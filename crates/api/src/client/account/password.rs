//! `POST /_matrix/client/v3/account/password`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword>

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use myelin_auth::{Auth, EmailPurpose, Operation, OtherSessions, Stage};
use myelin_model::Requester;
use myelin_runtime::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Error;
use crate::access::MayAsk;
use crate::body::Body;
use crate::uia::{AuthDict, BY_PASSWORD, require};

/// The flow of who has forgotten their password.
const BY_EMAIL: &[&[Stage]] = &[&[Stage::Email(EmailPurpose::Reset)]];

/// The body of a change of password.
#[derive(Deserialize)]
pub(crate) struct PasswordBody {
    new_password: Option<String>,
    logout_devices: Option<bool>,
    auth: Option<AuthDict>,
}

/// Changes the password of who has a session and can show the old one, or reads the mail for an address of the account.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    MayAsk(requester): MayAsk,
    Body(body): Body<PasswordBody>,
) -> Result<Json<Value>, Error> {
    match requester {
        Some(requester) => change(&auth, &requester, body).await?,
        None => reset(&auth, body).await?,
    }
    Ok(Json(json!({})))
}

async fn change(auth: &Auth, requester: &Requester, body: PasswordBody) -> Result<(), Error> {
    // The old password is shown in the very request that carries the new one, so that nothing need be bound.
    let operation =
        Operation { name: "account.password", asks: Some(requester), parameters: b"", flows: BY_PASSWORD };
    let (dict, password, others) = body.parts();
    let passed = require(auth, &operation, dict).await?;
    auth.change_password(requester, password?, others).await?;
    auth.finish(&passed);
    Ok(())
}

/// For somebody without a session, who can be anybody.
async fn reset(auth: &Auth, body: PasswordBody) -> Result<(), Error> {
    if !auth.sends_email() {
        return Err(Error::forbidden(
            "Without a session a password can be reset by e-mail only, and this server sends none.",
        ));
    }
    let operation = Operation { name: "account.password", asks: None, parameters: b"", flows: BY_EMAIL };
    let (dict, password, others) = body.parts();
    let passed = require(auth, &operation, dict).await?;
    // The only flow there is has passed by an address.
    let email = passed.email.as_ref().ok_or_else(Error::missing_token)?;
    auth.reset_password_by_email(email, password?, others).await?;
    auth.finish(&passed);
    Ok(())
}

impl PasswordBody {
    fn parts(self) -> (Option<AuthDict>, Result<Secret<String>, Error>, OtherSessions) {
        let missing = || Error::missing_param("The new password is missing.");
        let others =
            if self.logout_devices.unwrap_or(true) { OtherSessions::End } else { OtherSessions::Keep };
        (self.auth, self.new_password.map(Secret::new).ok_or_else(missing), others)
    }
}
