//! `GET /_matrix/client/v3/login`, `POST /_matrix/client/v3/login`
//! <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login>

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use myelin_auth::{Auth, Login, NewSession, Origin, RefreshTokens};
use myelin_runtime::Secret;
use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::Body;
use crate::client::session::told;
use crate::state::Oauth;
use crate::uia::{Identifier, named};
use crate::{ClientAddress, Error};

/// The body of a login, in its present and its older form.
#[derive(Deserialize)]
pub(crate) struct LoginBody {
    #[serde(rename = "type")]
    kind: String,
    identifier: Option<Identifier>,
    user: Option<String>,
    medium: Option<String>,
    address: Option<String>,
    password: Option<String>,
    token: Option<String>,
    device_id: Option<OwnedDeviceId>,
    initial_device_display_name: Option<String>,
    #[serde(default)]
    refresh_token: bool,
}

/// The ways to log in. Where there are pages to log in on, clients that know of them prefer those (MSC3824).
pub(crate) async fn get(State(Oauth(oauth)): State<Oauth>, State(auth): State<Arc<Auth>>) -> Json<Value> {
    let legacy = auth.config().legacy;
    let mut flows = Vec::new();
    if legacy.password && auth.offers_passwords() {
        flows.push(json!({ "type": "m.login.password" }));
    }
    if legacy.token {
        flows.push(json!({ "type": "m.login.token", "get_login_token": true }));
    }
    // It gives a login token in the end.
    if oauth.is_some() && legacy.token {
        let mut flow = json!({
            "type": "m.login.sso",
            "oauth_aware_preferred": true,
            "org.matrix.msc3824.delegated_oidc_compatibility": true,
        });
        let providers = auth.providers().iter();
        let providers: Vec<_> =
            providers.map(|provider| json!({ "id": provider.id, "name": provider.name })).collect();
        if !providers.is_empty() {
            flow["identity_providers"] = providers.into();
        }
        flows.push(flow);
    }
    Json(json!({ "flows": flows }))
}

/// Opens a session.
pub(crate) async fn post(
    State(auth): State<Arc<Auth>>,
    address: Option<Extension<ClientAddress>>,
    Body(body): Body<LoginBody>,
) -> Result<Json<Value>, Error> {
    let session = NewSession {
        device_id: body.device_id,
        display_name: body.initial_device_display_name,
        refresh: if body.refresh_token { RefreshTokens::Supported } else { RefreshTokens::Unsupported },
    };
    let legacy = auth.config().legacy;
    let issued = match body.kind.as_str() {
        "m.login.password" if legacy.password => {
            let identifier = body.identifier.or_else(|| Identifier::of_address(body.medium, body.address));
            let user = named(identifier, body.user)?;
            let password = body.password.ok_or_else(|| Error::missing_param("The password is missing."))?;
            let origin = Origin::of(address.map(|Extension(ClientAddress(address))| address));
            auth.login(Login { user, password: Secret::new(password), session, origin }).await?
        }
        "m.login.token" if legacy.token => {
            let token = body.token.ok_or_else(|| Error::missing_param("The login token is missing."))?;
            auth.login_by_token(&token, &session).await?
        }
        _ => {
            let message = "This server does not know this type of login; `GET /login` lists those it does.";
            return Err(Error::new(StatusCode::BAD_REQUEST, "M_UNKNOWN", message));
        }
    };
    let mut answer = told(&issued);
    let base_url = auth.config().public_url.as_str();
    answer.insert("well_known".to_owned(), json!({ "m.homeserver": { "base_url": base_url } }));
    Ok(Json(Value::Object(answer)))
}
