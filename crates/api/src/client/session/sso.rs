//! `GET /_matrix/client/v3/login/sso/redirect` and `.../{idpId}`
//! <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3loginssoredirect>

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use myelin_auth::Auth;
use myelin_oauth_core::legacy::LegacyRedirect;
use url::form_urlencoded::{Serializer, parse};

use crate::Error;
use crate::object::Segments;
use crate::state::Oauth;

/// Sends the browser to the page on which its user signs in and lets the client in.
pub(crate) async fn get(
    State(auth): State<Arc<Auth>>,
    State(oauth): State<Oauth>,
    query: RawQuery,
) -> Result<Response, Error> {
    redirect(&auth, &oauth, query, None)
}

fn redirect(
    auth: &Auth,
    Oauth(oauth): &Oauth,
    RawQuery(query): RawQuery,
    provider: Option<&str>,
) -> Result<Response, Error> {
    if oauth.is_none() || !auth.config().legacy.token {
        return Err(Error::unrecognized());
    }
    let query = query.unwrap_or_default();
    let of_query = |names: &[&str]| {
        let found = parse(query.as_bytes()).find(|(name, _)| names.contains(&&**name));
        found.map(|(_, value)| value.into_owned())
    };
    let place =
        of_query(&["redirectUrl"]).ok_or_else(|| Error::missing_param("`redirectUrl` is missing."))?;
    let place = LegacyRedirect::parse(&place)
        .ok_or_else(|| Error::invalid_param("`redirectUrl` is no URL that a browser may be sent to."))?;
    let mut page = Serializer::new(String::new());
    page.append_pair("redirect_url", place.as_str());
    if of_query(&["action", "org.matrix.msc3824.action"]).as_deref() == Some("register") {
        page.append_pair("action", "register");
    }
    let page = format!("/oauth2/sso?{}", page.finish());
    let page = match provider {
        Some(id) => {
            let next = Serializer::new(String::new()).append_pair("next", &page).finish();
            format!("/oauth2/upstream/{id}?{next}")
        }
        None => page,
    };
    let location = format!("{}{page}", auth.config().public_url);
    Ok((StatusCode::FOUND, [(header::LOCATION, location)]).into_response())
}

/// The same, by way of a provider that the person chose in the client.
pub(crate) async fn of_provider(
    state: State<Arc<Auth>>,
    oauth: State<Oauth>,
    Segments([id]): Segments<1>,
    query: RawQuery,
) -> Result<Response, Error> {
    if !state.providers().iter().any(|provider| provider.id == id) {
        return Err(Error::not_found("This server has no identity provider of this id."));
    }
    redirect(&state, &oauth, query, Some(&id))
}
