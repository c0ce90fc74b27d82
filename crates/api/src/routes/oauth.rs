//! OAuth 2.0 for programs.

use super::{delete, get, post, put};
use crate::client::rendezvous::{sequenced, sequenced_place, tagged, tagged_place};
use crate::oauth::{
    auth_metadata, device, identity, introspect, registration, revoke, token, upstream_logout,
};
use crate::{RateClass, Route};

/// The prefix of what a client finds by the issuer's name.
const WELL_KNOWN: &[&str] = &["/.well-known"];
/// The prefixes of the metadata: the specification's, and the one of before (MSC2965).
const METADATA: &[&str] = &["/_matrix/client/v1", "/_matrix/client/unstable/org.matrix.msc2965"];
/// The prefix of the endpoints that the metadata names.
const OAUTH: &[&str] = &["/oauth2"];

/// The prefix of places to meet, as today's clients call them.
const MSC4108: &[&str] = &["/_matrix/client/unstable/org.matrix.msc4108"];
/// The same in the form that is to follow.
const MSC4388: &[&str] = &["/_matrix/client/unstable/io.element.msc4388"];

/// Where two devices meet for a sign-in by QR code.
pub(super) fn rendezvous() -> Vec<Route> {
    vec![
        post(MSC4108, "/rendezvous", tagged::post).public().class(RateClass::Login),
        get(MSC4108, "/rendezvous/{id}", tagged_place::get).public(),
        put(MSC4108, "/rendezvous/{id}", tagged_place::put).public(),
        delete(MSC4108, "/rendezvous/{id}", tagged_place::delete).public(),
        get(MSC4388, "/rendezvous", sequenced::get).optional(),
        post(MSC4388, "/rendezvous", sequenced::post).optional().class(RateClass::Login),
        get(MSC4388, "/rendezvous/{id}", sequenced_place::get).public(),
        put(MSC4388, "/rendezvous/{id}", sequenced_place::put).public(),
        delete(MSC4388, "/rendezvous/{id}", sequenced_place::delete).public(),
    ]
}

/// Where clients find the rest.
pub(super) fn discovery() -> Vec<Route> {
    vec![
        get(METADATA, "/auth_metadata", auth_metadata::get).public(),
        get(WELL_KNOWN, "/oauth-authorization-server", auth_metadata::get).public(),
        // Clients of before looked for the document of OpenID Connect, too.
        get(WELL_KNOWN, "/openid-configuration", identity::metadata).public(),
        get(OAUTH, "/keys", identity::keys).public(),
    ]
}

/// What sessions need that were opened before OAuth 2.0 was switched off: a client whose tokens can't be renewed takes itself
/// for logged out.
pub(super) fn going_on() -> Vec<Route> {
    let routes = vec![post(OAUTH, "/token", token::post_refresh), post(OAUTH, "/revoke", revoke::post)];
    routes.into_iter().map(|route| route.public().oauth()).collect()
}

/// The endpoints in the dialect of the RFCs.
pub(super) fn routes() -> Vec<Route> {
    let routes = vec![
        post(OAUTH, "/registration", registration::post),
        post(OAUTH, "/token", token::post),
        post(OAUTH, "/revoke", revoke::post),
        post(OAUTH, "/introspect", introspect::post),
        get(OAUTH, "/userinfo", identity::userinfo),
        post(OAUTH, "/userinfo", identity::userinfo),
        post(OAUTH, "/upstream/{id}/logout", upstream_logout::post),
        post(OAUTH, "/device", device::post).class(RateClass::Login),
    ];
    routes.into_iter().map(|route| route.public().oauth()).collect()
}
