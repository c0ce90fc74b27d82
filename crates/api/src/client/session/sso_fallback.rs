//! `GET /_matrix/client/v3/auth/m.login.sso/fallback/web`
//! <https://spec.matrix.org/v1.19/client-server-api/#fallback>

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use myelin_auth::Auth;
use serde::Deserialize;
use url::form_urlencoded::Serializer;

use crate::Error;
use crate::args::Query;
use crate::state::Oauth;

/// Which session of interactive authentication is gone on with.
#[derive(Deserialize)]
pub(crate) struct Continued {
    session: Option<String>,
}

/// Sends the browser to the page on which its user shows that it is them.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    State(Oauth(oauth)): State<Oauth>,
    Query(Continued { session }): Query<Continued>,
) -> Result<Response, Error> {
    if oauth.is_none() {
        return Err(Error::unrecognized());
    }
    let session = session.ok_or_else(|| Error::missing_param("`session` is missing."))?;
    let page = Serializer::new(String::new())
        .append_pair("action", "myelin.confirm")
        .append_pair("session", &session)
        .finish();
    let location = format!("{}/account?{page}", auth.config().public_url);
    Ok((StatusCode::FOUND, [(header::LOCATION, location)]).into_response())
}
