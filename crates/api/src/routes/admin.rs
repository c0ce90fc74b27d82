//! Administration over HTTP: what the commands of the same names do.

use super::{delete, get, post};
use crate::Route;
use crate::admin::{audit, clients, connections, invitations, providers, registration_tokens, sessions};

/// The prefix. It is this server's own, so that it can't be taken for another one's.
const ADMIN: &[&str] = &["/_myelin/admin/v1"];

pub(super) fn routes() -> Vec<Route> {
    let routes = vec![
        get(ADMIN, "/users/{user_id}/sessions", sessions::get),
        delete(ADMIN, "/users/{user_id}/sessions", sessions::delete_all),
        delete(ADMIN, "/users/{user_id}/sessions/{device_id}", sessions::delete),
        get(ADMIN, "/users/{user_id}/connections", connections::get),
        delete(ADMIN, "/users/{user_id}/connections/{provider_id}", connections::delete),
        get(ADMIN, "/users/{user_id}/audit", audit::get),
        get(ADMIN, "/clients", clients::list),
        get(ADMIN, "/clients/{client_id}", clients::get),
        delete(ADMIN, "/clients/{client_id}", clients::delete),
        get(ADMIN, "/providers", providers::get),
        post(ADMIN, "/providers/{provider_id}/check", providers::check),
        post(ADMIN, "/invitations", invitations::post),
        get(ADMIN, "/registration_tokens", registration_tokens::get),
        post(ADMIN, "/registration_tokens", registration_tokens::post),
        delete(ADMIN, "/registration_tokens/{token}", registration_tokens::delete),
    ];
    routes.into_iter().map(Route::admin).collect()
}
