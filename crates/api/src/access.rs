//! The guard in front of every route: rate limits, then who asks.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderMap, header};
use myelin_model::Requester;

use crate::state::Rule;
use crate::{Access, ApiState, Error};

/// The address a request came from, as the listener saw it (or a trusted proxy told). Put there by the server.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// Checks a request against its route's rule. On success the requester, if any, is in the request's extensions.
pub(crate) async fn admit(state: &ApiState, rule: Rule, request: &mut Request) -> Result<(), Error> {
    let token = match rule.access {
        Access::Public => None,
        _ => token(request.headers(), request.uri().query())?,
    };
    let Some(token) = token else {
        if let Some(ClientAddress(address)) = request.extensions().get() {
            state.limits.check_address(rule.class, *address, &state.env)?;
        }
        return match rule.access {
            Access::Public | Access::Optional => Ok(()),
            Access::User | Access::LoggingOut | Access::Admin => Err(Error::missing_token()),
        };
    };
    let requester = match rule.access {
        Access::LoggingOut => state.tokens.authenticate_locked(&token).await?,
        _ => state.tokens.authenticate(&token).await?,
    };
    if rule.access == Access::Admin && !requester.is_admin {
        return Err(Error::forbidden("Only an administrator of this server may do this."));
    }
    if requester.is_suspended && !rule.is_for_suspended {
        return Err(Error::user_suspended());
    }
    state.limits.check_user(rule.class, &requester, &state.env)?;
    let address = request.extensions().get().map(|ClientAddress(address)| *address);
    state.tokens.seen(&requester, address);
    if rule.is_activity {
        state.users.presence().act(&requester);
    }
    request.extensions_mut().insert(requester);
    Ok(())
}

/// The access token of a request: from the header, or (deprecated, but in use) from the query.
fn token(headers: &HeaderMap, query: Option<&str>) -> Result<Option<String>, Error> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        return bearer.filter(|token| !token.is_empty()).map(Some).ok_or_else(Error::missing_token);
    }
    let from_query = query.and_then(|query| {
        let token = query.split('&').find_map(|pair| pair.strip_prefix("access_token="))?;
        (!token.is_empty()).then(|| token.to_owned())
    });
    Ok(from_query)
}

/// The requester, if there is one, for handlers behind [`Access::Optional`].
pub(crate) struct MayAsk(pub(crate) Option<Requester>);

impl<S: Sync> FromRequestParts<S> for MayAsk {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<Requester>().cloned()))
    }
}

/// The access token that a request was let in with, for handlers that end its session and no other.
pub(crate) struct Bearer(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        token(&parts.headers, parts.uri.query())?.map(Self).ok_or_else(Error::missing_token)
    }
}

/// The requester, for handlers behind [`Access::User`] and [`Access::Admin`].
pub(crate) struct Asks(pub(crate) Requester);

impl<S: Sync> FromRequestParts<S> for Asks {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        parts.extensions.get::<Requester>().cloned().map(Self).ok_or_else(Error::missing_token)
    }
}
