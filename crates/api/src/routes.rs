//! The table of contents: every route this server answers, with who may call it.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use http::{HeaderName, Method, StatusCode, header};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{Any, CorsLayer};

use crate::access::guard;
use crate::client::{account, device, media, server, session};
use crate::{ApiState, Error, RateClass, Route, synapse};

/// The prefix of endpoints without a version.
const ROOT: &[&str] = &["/_matrix/client"];
/// The prefixes of endpoints that were there before versions were: `r0` is what old clients still call.
const V3: &[&str] = &["/_matrix/client/v3", "/_matrix/client/r0"];
/// The prefix of endpoints that came after `v3`.
const V1: &[&str] = &["/_matrix/client/v1"];
/// The prefix of what tools for Synapse call.
const SYNAPSE: &[&str] = &["/_synapse/admin/v1"];

/// The prefix of authenticated media.
const MEDIA: &[&str] = &["/_matrix/client/v1/media"];
/// The prefixes of media as it was before it was authenticated, uploads included, which are there still.
const OLD_MEDIA: &[&str] = &["/_matrix/media/v3", "/_matrix/media/r0", "/_matrix/media/v1"];

/// Every route, in the order of the specification.
#[must_use]
pub fn table() -> Vec<Route> {
    let mut table = Vec::new();
    table.extend(server_routes());
    table.extend(session_routes());
    table.extend(account_routes());
    table.extend(device_routes());
    table.extend(synapse_routes());
    table.extend(media_routes());
    table
}

fn server_routes() -> Vec<Route> {
    vec![
        get(ROOT, "/versions", server::versions::get).optional(),
        get(V3, "/capabilities", server::capabilities::get),
    ]
}

fn session_routes() -> Vec<Route> {
    vec![
        get(V3, "/login", session::login::get).public(),
        post(V3, "/login", session::login::post).public().class(RateClass::Login),
        post(V3, "/refresh", session::refresh::post).public(),
        post(V3, "/logout", session::logout::post).logging_out(),
        post(V3, "/logout/all", session::logout_all::post).logging_out(),
    ]
}

fn account_routes() -> Vec<Route> {
    const VALIDITY: &str = "/register/m.login.registration_token/validity";
    vec![
        post(V3, "/register", account::register::post).public().class(RateClass::Login),
        get(V3, "/register/available", account::register_available::get).public().class(RateClass::Login),
        get(V1, VALIDITY, account::registration_token_validity::get).public().class(RateClass::Login),
        get(V3, "/account/whoami", account::whoami::get),
        post(V3, "/account/password", account::password::post),
        post(V3, "/account/deactivate", account::deactivate::post),
    ]
}

fn device_routes() -> Vec<Route> {
    vec![
        get(V3, "/devices", device::devices::get),
        get(V3, "/devices/{device_id}", device::device::get),
        put(V3, "/devices/{device_id}", device::device::put),
        delete(V3, "/devices/{device_id}", device::device::delete),
        post(V3, "/delete_devices", device::delete_devices::post),
    ]
}

fn synapse_routes() -> Vec<Route> {
    vec![
        get(SYNAPSE, "/register", synapse::register::get).public(),
        post(SYNAPSE, "/register", synapse::register::post).public().class(RateClass::Login),
    ]
}

fn media_routes() -> Vec<Route> {
    vec![
        get(MEDIA, "/config", media::config::get),
        get(MEDIA, "/download/{server_name}/{media_id}", media::download::get),
        get(MEDIA, "/download/{server_name}/{media_id}/{filename}", media::download_as::get),
        get(MEDIA, "/thumbnail/{server_name}/{media_id}", media::thumbnail::get),
        post(OLD_MEDIA, "/upload", media::upload::post).class(RateClass::Upload).streaming(),
        get(OLD_MEDIA, "/config", media::config::get),
        get(OLD_MEDIA, "/download/{server_name}/{media_id}", media::frozen::get).public(),
        get(OLD_MEDIA, "/download/{server_name}/{media_id}/{filename}", media::frozen::get).public(),
        get(OLD_MEDIA, "/thumbnail/{server_name}/{media_id}", media::frozen::get).public(),
    ]
}

fn get<H, T>(prefixes: &[&str], path: &str, handler: H) -> Route
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    Route::new(Method::GET, prefixes, path, handler)
}

fn post<H, T>(prefixes: &[&str], path: &str, handler: H) -> Route
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    Route::new(Method::POST, prefixes, path, handler)
}

fn put<H, T>(prefixes: &[&str], path: &str, handler: H) -> Route
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    Route::new(Method::PUT, prefixes, path, handler)
}

fn delete<H, T>(prefixes: &[&str], path: &str, handler: H) -> Route
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    Route::new(Method::DELETE, prefixes, path, handler)
}

/// The router over the whole table: guards, CORS, limits, and Matrix errors for what is not served.
pub fn router(state: ApiState) -> Router {
    let mut router = Router::new();
    for route in table() {
        let guarded: MethodRouter<ApiState> =
            route.handler.layer(from_fn_with_state((state.clone(), route.rule), guard));
        let limited = match route.body_limit {
            Some(limit) => guarded.layer(DefaultBodyLimit::max(limit)),
            None => guarded.layer(DefaultBodyLimit::disable()),
        };
        for path in &route.paths {
            router = router.route(path, limited.clone());
        }
    }
    router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(async || Error::unrecognized())
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(cors())
        .with_state(state)
}

async fn method_not_allowed() -> Error {
    let message = "This endpoint is not served under this method.";
    Error::new(StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED", message)
}

/// A handler panicked: a bug. The panic's message has been logged by the panic hook.
fn panicked() -> Response {
    Error::new(StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN", "The server failed to answer.").into_response()
}

/// Web browser clients, as the spec's section of that name asks.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::OPTIONS,
            Method::HEAD,
            Method::PATCH,
        ])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            HeaderName::from_static("x-requested-with"),
            header::DATE,
        ])
        .max_age(std::time::Duration::from_secs(86_400))
}
