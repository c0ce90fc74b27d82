//! The table of contents: every route this server answers, with who may call it.

mod accounts;
mod admin;
mod media;
mod oauth;

use axum::Router;
use http::{HeaderName, Method, StatusCode, header};
use tower::Layer;
use tower_http::cors::{Any, Cors, CorsLayer};

use crate::client::{
    account_data, delayed, device, directory, filters, keys, notifications, openid, presence, profile,
    push_rules, pushers, receipts, reports, room_keys, rooms, search, server, session, sync, threads,
    to_device, user_directory, voip,
};
use crate::guarded::{Guard, Guarded};
use crate::route::{delete, get, post, put};
use crate::state::Services;
use crate::{ApiState, Error, RateClass, Route, synapse};

/// The prefix of what a client asks that knows only the server's name.
const WELL_KNOWN: &[&str] = &["/.well-known/matrix"];
/// The prefix of endpoints without a version.
const ROOT: &[&str] = &["/_matrix/client"];
/// The prefixes of endpoints that were there before versions were: `r0` is what old clients still call.
const V3: &[&str] = &["/_matrix/client/v3", "/_matrix/client/r0"];
/// The prefixes of endpoints that clients called under `unstable` for years.
const V3_OR_UNSTABLE: &[&str] = &["/_matrix/client/v3", "/_matrix/client/r0", "/_matrix/client/unstable"];
/// The prefix of endpoints that came after `v3`.
const V1: &[&str] = &["/_matrix/client/v1"];
/// The prefix of room summaries, as clients called them before MSC3266 was merged.
const SUMMARY: &[&str] = &["/_matrix/client/unstable/im.nheko.summary"];
/// The prefix of sliding sync, as clients called it before MSC4186 was merged.
const SLIDING: &[&str] = &["/_matrix/client/unstable/org.matrix.simplified_msc3575"];
/// The prefix of sliding sync as MSC4186 was merged.
const V4: &[&str] = &["/_matrix/client/v4"];
/// The prefix of delayed events, as clients called them before MSC4140 was merged.
const DELAYED: &[&str] = &["/_matrix/client/unstable/org.matrix.msc4140"];
/// The prefix of the rooms shared with a user, as clients called it before MSC2666 was merged.
const MUTUAL_ROOMS: &[&str] = &["/_matrix/client/unstable/uk.half-shot.msc2666"];
/// The prefixes of how long history is kept (MSC1763).
const RETENTION: &[&str] = &["/_matrix/client/v3", "/_matrix/client/unstable/org.matrix.msc1763"];
/// The prefix of deleting account data.
const MSC3391: &[&str] = &["/_matrix/client/unstable/org.matrix.msc3391"];
/// The prefix of thread subscriptions.
const MSC4306: &[&str] = &["/_matrix/client/unstable/io.element.msc4306"];
/// The prefix of their changes.
const MSC4308: &[&str] = &["/_matrix/client/unstable/io.element.msc4308"];
/// The prefix of what other servers and services call.
const FEDERATION: &[&str] = &["/_matrix/federation/v1"];
/// The prefix of what tools for Synapse call.
const SYNAPSE: &[&str] = &["/_synapse/admin/v1"];

/// Every route, in the order of the specification.
#[must_use]
pub fn table() -> Vec<Route> {
    let mut table = Vec::new();
    table.extend(server_routes());
    table.extend(oauth::discovery());
    table.extend(oauth::rendezvous());
    table.extend(session_routes());
    table.extend(accounts::routes());
    table.extend(device_routes());
    table.extend(key_routes());
    table.extend(room_key_routes());
    table.extend(synapse_routes());
    table.extend(admin::routes());
    table.extend(sync_routes());
    table.extend(room_routes());
    table.extend(delayed_routes());
    table.extend(directory_routes());
    table.extend(search_routes());
    table.extend(report_routes());
    table.extend(user_routes());
    table.extend(push_routes());
    table.extend(presence_routes());
    table.extend(media::routes());
    table
}

/// OAuth 2.0 for programs: in a table of its own, because it refuses in the words of the RFCs.
#[must_use]
pub fn oauth_table() -> Vec<Route> {
    oauth::routes()
}

fn sync_routes() -> Vec<Route> {
    vec![
        get(V3, "/sync", sync::all_rooms::get),
        post(V4, "/sync", sync::merged::post),
        post(SLIDING, "/sync", sync::sliding::post),
    ]
}

fn server_routes() -> Vec<Route> {
    vec![
        get(WELL_KNOWN, "/client", server::well_known::get).public(),
        get(WELL_KNOWN, "/support", server::support::get).public(),
        get(ROOT, "/versions", server::versions::get).optional(),
        get(V3, "/capabilities", server::capabilities::get),
        get(RETENTION, "/retention/configuration", server::retention::get),
    ]
}

fn session_routes() -> Vec<Route> {
    const FALLBACK: &str = "/auth/{auth_type}/fallback/web";
    vec![
        get(V3, "/login", session::login::get).public(),
        post(V3, "/login", session::login::post).public().class(RateClass::Login),
        get(V3, "/login/sso/redirect", session::sso::get).public().page(),
        get(V3, "/login/sso/redirect/{idp_id}", session::sso::of_provider).public().page(),
        get(V3, FALLBACK, session::fallback::get).public().page(),
        post(V3, FALLBACK, session::fallback::post).public().class(RateClass::Login).page(),
        post(V1, "/login/get_token", session::get_token::post).class(RateClass::Rare),
        post(V3, "/refresh", session::refresh::post).public(),
        post(V3, "/logout", session::logout::post).logging_out(),
        post(V3, "/logout/all", session::logout_all::post).logging_out(),
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

fn key_routes() -> Vec<Route> {
    vec![
        put(V3, "/sendToDevice/{event_type}/{txn_id}", to_device::send::put),
        post(V3, "/keys/upload", keys::upload::post),
        post(V3, "/keys/query", keys::query::post),
        post(V3, "/keys/claim", keys::claim::post),
        get(V3, "/keys/changes", keys::changes::get),
        post(V3_OR_UNSTABLE, "/keys/device_signing/upload", keys::device_signing::post),
        post(V3_OR_UNSTABLE, "/keys/signatures/upload", keys::signatures::post),
    ]
}

fn room_key_routes() -> Vec<Route> {
    const VERSION: &str = "/room_keys/version/{version}";
    const KEYS: &str = "/room_keys/keys";
    const ROOM: &str = "/room_keys/keys/{room_id}";
    const SESSION: &str = "/room_keys/keys/{room_id}/{session_id}";
    vec![
        post(V3_OR_UNSTABLE, "/room_keys/version", room_keys::versions::post),
        get(V3_OR_UNSTABLE, "/room_keys/version", room_keys::versions::get),
        get(V3_OR_UNSTABLE, VERSION, room_keys::version::get),
        put(V3_OR_UNSTABLE, VERSION, room_keys::version::put),
        delete(V3_OR_UNSTABLE, VERSION, room_keys::version::delete),
        put(V3_OR_UNSTABLE, KEYS, room_keys::keys::put),
        get(V3_OR_UNSTABLE, KEYS, room_keys::keys::get),
        delete(V3_OR_UNSTABLE, KEYS, room_keys::keys::delete),
        put(V3_OR_UNSTABLE, ROOM, room_keys::room::put),
        get(V3_OR_UNSTABLE, ROOM, room_keys::room::get),
        delete(V3_OR_UNSTABLE, ROOM, room_keys::room::delete),
        put(V3_OR_UNSTABLE, SESSION, room_keys::session::put),
        get(V3_OR_UNSTABLE, SESSION, room_keys::session::get),
        delete(V3_OR_UNSTABLE, SESSION, room_keys::session::delete),
    ]
}

fn synapse_routes() -> Vec<Route> {
    vec![
        get(SYNAPSE, "/register", synapse::register::get).public(),
        post(SYNAPSE, "/send_server_notice", synapse::server_notice::post).admin(),
        put(SYNAPSE, "/send_server_notice/{txn_id}", synapse::server_notice::put).admin(),
        post(SYNAPSE, "/register", synapse::register::post).public().class(RateClass::Login),
    ]
}

fn room_routes() -> Vec<Route> {
    let room = |path: &str| format!("/rooms/{{room_id}}{path}");
    let state = room("/state/{event_type}");
    vec![
        post(V3, "/createRoom", rooms::create::post).class(RateClass::Send).unsuspended(),
        get(V3, "/joined_rooms", rooms::joined_rooms::get),
        post(V3, "/join/{room_id_or_alias}", rooms::join::by_id_or_alias).class(RateClass::Send),
        post(V3, &room("/join"), rooms::join::by_id).class(RateClass::Send),
        post(V3, "/knock/{room_id_or_alias}", rooms::knock::post).class(RateClass::Send).unsuspended(),
        post(V3, &room("/invite"), rooms::invite::post).class(RateClass::Send).unsuspended(),
        post(V3, &room("/leave"), rooms::leave::post),
        post(V3, &room("/forget"), rooms::forget::post),
        post(V3, &room("/kick"), rooms::kick::post).unsuspended(),
        post(V3, &room("/ban"), rooms::ban::post).unsuspended(),
        post(V3, &room("/unban"), rooms::unban::post).unsuspended(),
        put(V3, &room("/send/{event_type}/{txn_id}"), rooms::send::put).class(RateClass::Send).activity(),
        // Before transaction ids an event was posted; some bots still do.
        post(V3, &room("/send/{event_type}"), rooms::send::post).class(RateClass::Send).activity(),
        put(V3, &room("/redact/{event_id}/{txn_id}"), rooms::redact::put).class(RateClass::Send).activity(),
        post(V3, &room("/upgrade"), rooms::upgrade::post).class(RateClass::Send).unsuspended(),
        get(V3, &room("/state"), rooms::state::get),
        get(V3, &format!("{state}/{{state_key}}"), rooms::state_event::get),
        put(V3, &format!("{state}/{{state_key}}"), rooms::state_put::put)
            .class(RateClass::Send)
            .unsuspended(),
        // An empty state key may be left out, with or without its slash.
        get(V3, &state, rooms::state_event::get),
        put(V3, &state, rooms::state_put::put).class(RateClass::Send).unsuspended(),
        get(V3, &format!("{state}/"), rooms::state_event::get),
        put(V3, &format!("{state}/"), rooms::state_put::put).class(RateClass::Send).unsuspended(),
        get(V3, &room("/initialSync"), rooms::initial_sync::get),
        get(V3, &room("/members"), rooms::members::get),
        get(V3, &room("/joined_members"), rooms::joined_members::get),
        get(V3, &room("/event/{event_id}"), rooms::event::get),
        get(V3, &room("/context/{event_id}"), rooms::context::get),
        get(V3, &room("/messages"), rooms::messages::get),
        get(V3, &room("/aliases"), rooms::aliases::get),
        get(V1, &room("/relations/{event_id}"), rooms::relations::all),
        get(V1, &room("/relations/{event_id}/{rel_type}"), rooms::relations::of_rel_type),
        get(V1, &room("/relations/{event_id}/{rel_type}/{event_type}"), rooms::relations::of_event_type),
        get(V1, &room("/threads"), rooms::threads::get),
        get(V1, &room("/hierarchy"), rooms::hierarchy::get),
        get(V1, &room("/timestamp_to_event"), rooms::timestamp_to_event::get),
        get(V1, "/room_summary/{room_id_or_alias}", rooms::summary::get).optional(),
        get(SUMMARY, "/summary/{room_id_or_alias}", rooms::summary::get).optional(),
        get(SUMMARY, "/rooms/{room_id_or_alias}/summary", rooms::summary::get).optional(),
    ]
}

fn delayed_routes() -> Vec<Route> {
    const SCHEDULE: &str = "/rooms/{room_id}/delayed_event/{event_type}/{txn_id}";
    const CHANGE: &str = "/delayed_events/{delay_id}/{action}";
    vec![
        put(V3, SCHEDULE, delayed::schedule::put).class(RateClass::Send).unsuspended(),
        put(DELAYED, SCHEDULE, delayed::schedule::put).class(RateClass::Send).unsuspended(),
        get(V1, "/delayed_events/{delay_id}", delayed::list::one),
        post(V1, CHANGE, delayed::manage::own),
        get(DELAYED, "/delayed_events", delayed::list::all),
        post(DELAYED, CHANGE, delayed::manage::by_id).public(),
        post(DELAYED, "/delayed_events/{delay_id}", delayed::manage::by_body).public(),
    ]
}

fn directory_routes() -> Vec<Route> {
    vec![
        get(V3, "/directory/room/{room_alias}", directory::alias::get).public(),
        put(V3, "/directory/room/{room_alias}", directory::alias::put).unsuspended(),
        delete(V3, "/directory/room/{room_alias}", directory::alias::delete).unsuspended(),
        get(V3, "/publicRooms", directory::public_rooms::get).optional(),
        post(V3, "/publicRooms", directory::public_rooms::post),
        get(V3, "/directory/list/room/{room_id}", directory::visibility::get).public(),
        put(V3, "/directory/list/room/{room_id}", directory::visibility::put).unsuspended(),
    ]
}

fn search_routes() -> Vec<Route> {
    vec![post(V3, "/search", search::events::post)]
}

fn report_routes() -> Vec<Route> {
    vec![
        post(V3, "/rooms/{room_id}/report", reports::room::post).class(RateClass::Rare),
        post(V3, "/rooms/{room_id}/report/{event_id}", reports::event::post).class(RateClass::Rare),
        post(V3, "/users/{user_id}/report", reports::user::post).class(RateClass::Rare),
    ]
}

fn user_routes() -> Vec<Route> {
    const FIELD: &str = "/profile/{user_id}/{key_name}";
    const DATA: &str = "/user/{user_id}/account_data/{event_type}";
    const ROOM_DATA: &str = "/user/{user_id}/rooms/{room_id}/account_data/{event_type}";
    const TAGS: &str = "/user/{user_id}/rooms/{room_id}/tags";
    const TAG: &str = "/user/{user_id}/rooms/{room_id}/tags/{tag}";
    const RECEIPT: &str = "/rooms/{room_id}/receipt/{receipt_type}/{event_id}";
    vec![
        post(V3, "/user_directory/search", user_directory::search::post),
        get(V1, "/mutual_rooms", user_directory::mutual_rooms::get),
        get(MUTUAL_ROOMS, "/user/mutual_rooms", user_directory::mutual_rooms::get_unstable),
        post(V3, "/user/{user_id}/openid/request_token", openid::request_token::post).unsuspended(),
        get(FEDERATION, "/openid/userinfo", openid::userinfo::get).public(),
        put(FEDERATION, "/3pid/onbind", rooms::on_bind::put).public(),
        get(V3, "/voip/turnServer", voip::turn_server::get),
        get(V3, "/profile/{user_id}", profile::whole::get).optional(),
        get(V3, FIELD, profile::field::get).optional(),
        put(V3, FIELD, profile::field::put).unsuspended(),
        delete(V3, FIELD, profile::field::delete).unsuspended(),
        get(V3, DATA, account_data::global::get),
        put(V3, DATA, account_data::global::put),
        get(V3, ROOM_DATA, account_data::room::get),
        put(V3, ROOM_DATA, account_data::room::put),
        delete(MSC3391, DATA, account_data::global::delete),
        delete(MSC3391, ROOM_DATA, account_data::room::delete),
        get(V3, TAGS, account_data::tags::get),
        put(V3, TAG, account_data::tag::put),
        delete(V3, TAG, account_data::tag::delete),
        post(V3, RECEIPT, receipts::receipt::post).activity(),
        post(V3, "/rooms/{room_id}/read_markers", receipts::read_markers::post).activity(),
        put(V3, "/rooms/{room_id}/typing/{user_id}", receipts::typing::put).activity().unsuspended(),
        post(V3, "/user/{user_id}/filter", filters::save::post),
        get(V3, "/user/{user_id}/filter/{filter_id}", filters::filter::get),
    ]
}

fn presence_routes() -> Vec<Route> {
    const STATUS: &str = "/presence/{user_id}/status";
    vec![get(V3, STATUS, presence::status::get), put(V3, STATUS, presence::status::put).unsuspended()]
}

fn push_routes() -> Vec<Route> {
    const RULE: &str = "/pushrules/global/{kind}/{rule_id}";
    const THREAD: &str = "/rooms/{room_id}/thread/{event_id}/subscription";
    let (enabled, actions) = (format!("{RULE}/enabled"), format!("{RULE}/actions"));
    vec![
        get(V3, "/pushrules/", push_rules::all::get),
        get(V3, "/pushrules/global/", push_rules::global::get),
        // Older clients leave out the last slash.
        get(V3, "/pushrules", push_rules::all::get),
        get(V3, "/pushrules/global", push_rules::global::get),
        get(V3, RULE, push_rules::rule::get),
        put(V3, RULE, push_rules::rule::put),
        delete(V3, RULE, push_rules::rule::delete),
        get(V3, &enabled, push_rules::enabled::get),
        put(V3, &enabled, push_rules::enabled::put),
        get(V3, &actions, push_rules::actions::get),
        put(V3, &actions, push_rules::actions::put),
        get(V3, "/pushers", pushers::list::get),
        post(V3, "/pushers/set", pushers::set::post),
        get(V3, "/notifications", notifications::get),
        get(MSC4306, THREAD, threads::subscription::get),
        put(MSC4306, THREAD, threads::subscription::put),
        delete(MSC4306, THREAD, threads::subscription::delete),
        get(MSC4308, "/thread_subscriptions", threads::changes::get),
    ]
}

/// The router over the whole table, each handler behind its guard, and Matrix errors for what is not served.
pub fn router(state: ApiState) -> Router {
    // Where it is switched off, sessions that were opened by it go on, and end when their users want that.
    let oauth = if state.oauth.0.is_some() { oauth_table() } else { oauth::going_on() };
    let mut router = Router::new();
    for route in table().into_iter().chain(oauth) {
        for path in route.paths() {
            router = router.route(path, route.endpoint(path));
        }
    }
    router
        .method_not_allowed_fallback(Guarded::new(method_not_allowed, Guard::of_nothing()))
        .fallback(Guarded::new(async || Error::unrecognized(), Guard::of_nothing()))
        .with_state(Services::new(state))
}

/// The router, open to web browser clients. Around the router and not within it, where it would be there once for each
/// route.
pub fn for_browsers(router: Router) -> Cors<Router> {
    cors().layer(router)
}

async fn method_not_allowed() -> Error {
    let message = "This endpoint is not served under this method.";
    Error::new(StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED", message)
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
            header::RANGE,
            header::IF_RANGE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
        ])
        // What a web client reads of media and of refusals; the rest is in bodies.
        .expose_headers([
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ETAG,
            header::RETRY_AFTER,
        ])
        .max_age(std::time::Duration::from_secs(86_400))
}
