//! A request of each route that the server does: what the mutations start from.

use http::Method;
use serde_json::{Value, json};

use crate::world::{PASSWORD, World};

/// What a route takes beside its path.
#[derive(Default)]
pub(crate) struct Valid {
    /// What stands behind `?`.
    pub(crate) query: String,
    /// The body; none for routes that read none.
    pub(crate) body: Option<Value>,
    /// Where in the body (JSON pointers, with what lies below) anything may stand: content that the server keeps as it
    /// is, and fields that it does not look at.
    pub(crate) free: &'static [&'static str],
}

impl Valid {
    fn body(body: Value) -> Self {
        Self { body: Some(body), ..Self::default() }
    }

    fn free(self, free: &'static [&'static str]) -> Self {
        Self { free, ..self }
    }

    fn query(self, query: impl Into<String>) -> Self {
        Self { query: query.into(), ..self }
    }

    /// Whether anything may stand at this pointer.
    pub(crate) fn is_free(&self, pointer: &str) -> bool {
        self.free.iter().any(|free| {
            pointer.strip_prefix(free).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// The request of the route with this method and path. `None` where a route that has a body is not in the table.
pub(crate) fn valid(method: &Method, template: &str, world: &World<'_>) -> Option<Valid> {
    let tail = tail(template);
    match *method {
        Method::GET => Some(Valid::default().query(query(tail, world))),
        Method::DELETE if tail.starts_with("/devices/") => {
            Some(Valid::body(json!({"auth": password(world)})))
        }
        Method::DELETE if tail.starts_with("/room_keys/keys") => Some(Valid::default().query(version(world))),
        Method::DELETE => Some(Valid::default()),
        Method::POST => account_post(tail, world)
            .or_else(|| key_post(tail, world))
            .or_else(|| room_post(tail, world))
            .or_else(|| other_post(tail, world)),
        Method::PUT => room_put(tail, world).or_else(|| other_put(tail, world)),
        _ => None,
    }
}

/// Whether doing the request ends what the next one needs: the session, or the account.
pub(crate) fn ends_session(method: &Method, template: &str) -> bool {
    let tail = tail(template);
    *method == Method::POST && ["/logout", "/logout/all", "/account/deactivate"].contains(&tail)
}

/// Whether somebody is not where they were when the request is done.
pub(crate) fn moves_people(method: &Method, template: &str) -> bool {
    const TAILS: &[&str] = &["/leave", "/forget", "/kick", "/ban", "/unban", "/invite"];
    *method == Method::POST && TAILS.iter().any(|tail| template.ends_with(tail))
}

/// The errcode of the good request, where it can't be done here: empty where it is done.
pub(crate) fn refused(method: &Method, template: &str) -> &'static str {
    match (method.as_str(), tail(template)) {
        // The room is public, nobody is banned from it, and who asks is in it.
        ("POST", "/knock/{room_id_or_alias}" | "/rooms/{room_id}/unban") => "M_FORBIDDEN",
        ("POST", "/rooms/{room_id}/forget") | ("POST", "/_synapse/admin/v1/register") => "M_UNKNOWN",
        ("GET", "/login/sso/redirect/{idp_id}") => "M_NOT_FOUND",
        // No contact is in the configuration.
        ("GET", "/.well-known/matrix/support") => "M_NOT_FOUND",
        ("GET", "/federation/v1/openid/userinfo") => "M_UNKNOWN_TOKEN",
        // There is no phone, no identity server, and no mail that anybody has read.
        ("POST", tail) if tail.ends_with("/msisdn/requestToken") => "M_THREEPID_MEDIUM_NOT_SUPPORTED",
        ("POST", "/account/3pid/bind") => "M_SERVER_NOT_TRUSTED",
        ("POST", "/account/3pid" | "/account/3pid/add") => "M_THREEPID_AUTH_FAILED",
        ("POST", "/email/submit_token") => "M_TOKEN_INCORRECT",
        ("GET", "/media/preview_url" | "/preview_url") => "M_FORBIDDEN",
        ("PUT", "/upload/{server_name}/{media_id}") => "M_CANNOT_OVERWRITE_MEDIA",
        // Nobody subscribed to anything yet.
        ("GET", THREAD) => "M_NOT_FOUND",
        // What is said there has a kind; and nobody meets at the places that are made up here.
        ("POST", "/org.matrix.msc4108/rendezvous") => "M_INVALID_PARAM",
        ("PUT", "/org.matrix.msc4108/rendezvous/{id}") => "M_INVALID_PARAM",
        (_, tail) if tail.ends_with("/rendezvous/{id}") => "M_NOT_FOUND",
        // Carol has one device, nobody is connected with anything, and what is named does not exist.
        ("DELETE", "/_myelin/admin/v1/users/{user_id}/sessions") => "",
        ("DELETE", tail) if tail.starts_with("/_myelin/admin/v1") => "M_NOT_FOUND",
        ("GET", "/_myelin/admin/v1/clients/{client_id}") => "M_NOT_FOUND",
        ("POST", "/_myelin/admin/v1/providers/{provider_id}/check") => "M_NOT_FOUND",
        _ => "",
    }
}

/// A subscription to a thread.
const THREAD: &str = "/io.element.msc4306/rooms/{room_id}/thread/{event_id}/subscription";

/// Whether the route shows a page, which says to people what is wrong, in words.
pub(crate) fn is_page(method: &Method, template: &str) -> bool {
    let by = |wanted: Method| *method == wanted;
    by(Method::GET) && template.ends_with("/email/submit_token")
        || by(Method::POST) && template.ends_with("/fallback/web")
}

/// A path without what it begins with.
fn tail(template: &str) -> &str {
    const PREFIXES: &[&str] = &[
        "/_matrix/client/v3",
        "/_matrix/client/v4",
        "/_matrix/client/v1",
        "/_matrix/client/unstable",
        "/_matrix/media/v3",
        "/_matrix/media/v1",
        "/_matrix",
    ];
    PREFIXES.iter().find_map(|prefix| template.strip_prefix(prefix)).unwrap_or(template)
}

fn password(world: &World<'_>) -> Value {
    let user = &world.alice.user_id;
    json!({"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": PASSWORD})
}

fn version(world: &World<'_>) -> String {
    format!("version={}", world.backup)
}

fn query(tail: &str, world: &World<'_>) -> String {
    match tail {
        "/sync" => "timeout=0".to_owned(),
        "/keys/changes" => format!("from={0}&to={0}", world.since),
        "/register/available" => "username=free".to_owned(),
        "/auth/{auth_type}/fallback/web" => "session=abc".to_owned(),
        "/login/sso/redirect" => "redirectUrl=https://chat.example.org/".to_owned(),
        "/register/m.login.registration_token/validity" => "token=abc".to_owned(),
        "/mutual_rooms" | "/uk.half-shot.msc2666/user/mutual_rooms" => "user_id=@bob:hs".to_owned(),
        "/rooms/{room_id}/messages" | "/io.element.msc4308/thread_subscriptions" => "dir=b".to_owned(),
        "/rooms/{room_id}/timestamp_to_event" => "ts=0&dir=f".to_owned(),
        "/media/thumbnail/{server_name}/{media_id}" | "/thumbnail/{server_name}/{media_id}" => {
            "width=32&height=32&method=scale".to_owned()
        }
        "/media/preview_url" | "/preview_url" => "url=http://127.0.0.1/".to_owned(),
        "/federation/v1/openid/userinfo" => "access_token=abc".to_owned(),
        _ if tail.starts_with("/room_keys/keys") => version(world),
        _ => String::new(),
    }
}

fn account_post(tail: &str, world: &World<'_>) -> Option<Valid> {
    let valid = match tail {
        "/login" => Valid::body(json!({
            "type": "m.login.password", "identifier": {"type": "m.id.user", "user": world.alice.user_id}, "password": PASSWORD,
            "device_id": "LOGIN", "initial_device_display_name": "phone", "refresh_token": true,
        })),
        "/refresh" => Valid::body(json!({"refresh_token": world.refresh_token})),
        "/logout" | "/logout/all" => Valid::default(),
        "/register" => Valid::body(json!({
            "username": world.fresh_name(), "password": PASSWORD, "auth": {"type": "m.login.dummy"},
            "device_id": "NEW", "initial_device_display_name": "phone", "inhibit_login": false,
            "refresh_token": true,
        })),
        "/account/password" => {
            Valid::body(json!({"new_password": PASSWORD, "logout_devices": false, "auth": password(world)}))
        }
        "/account/3pid/email/requestToken"
        | "/account/password/email/requestToken"
        | "/register/email/requestToken" => Valid::body(json!({
            "client_secret": "s3cret", "email": "dora@example.org", "send_attempt": 1,
            "next_link": "https://app.example.org/",
        })),
        _ if tail.ends_with("/msisdn/requestToken") => Valid::default(),
        "/account/3pid" => Valid::body(json!({
            "three_pid_creds": {"sid": "abc", "client_secret": "s3cret"}, "auth": password(world),
        })),
        "/account/3pid/add" => {
            Valid::body(json!({"sid": "abc", "client_secret": "s3cret", "auth": password(world)}))
        }
        "/account/3pid/bind" => Valid::body(json!({
            "id_server": "id.example.org", "id_access_token": "abc", "sid": "abc", "client_secret": "s3cret",
        }))
        .free(&["/id_access_token", "/sid", "/client_secret"]),
        "/account/3pid/delete" | "/account/3pid/unbind" => {
            Valid::body(json!({"medium": "email", "address": "dora@example.org"}))
        }
        // A form, of a session that nobody has.
        "/auth/{auth_type}/fallback/web" => Valid::default(),
        "/email/submit_token" => Valid::body(json!({"token": "myelin_et_unknown"})),
        "/account/deactivate" => Valid::body(json!({"erase": false, "auth": password(world)})),
        "/login/get_token" => Valid::body(json!({"auth": password(world)})),
        "/delete_devices" => Valid::body(json!({"devices": ["GONE"], "auth": password(world)})),
        "/_synapse/admin/v1/register" => Valid::body(json!({
            "nonce": "abc", "username": "x", "password": PASSWORD, "admin": false, "user_type": null,
            "mac": "00", "inhibit_login": false,
        })),
        "/_synapse/admin/v1/send_server_notice" => notice(),
        "/_myelin/admin/v1/providers/{provider_id}/check" => Valid::default(),
        "/_myelin/admin/v1/invitations" => Valid::body(json!({"admin": false, "lifetime": 60})),
        "/_myelin/admin/v1/registration_tokens" => Valid::body(json!({
            "token": world.fresh_name(), "uses_allowed": 2, "expires_at": 4_000_000_000_000_i64,
        })),
        _ => return None,
    };
    Some(valid)
}

fn notice() -> Valid {
    Valid::body(json!({"user_id": "@bob:hs", "type": "m.room.message", "content": {"body": "x", "msgtype": "m.text"}}))
        .free(&["/content/body", "/content/msgtype"])
}

fn key_post(tail: &str, world: &World<'_>) -> Option<Valid> {
    const KEY: &str = "wjLpTLRqbqBzLs63aYaEv2Boi6cFEbbM/sSRQ2oAKk4";
    let device = || {
        json!({
            "user_id": world.alice.user_id, "device_id": world.alice.device_id, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": {format!("curve25519:{}", world.alice.device_id): KEY, format!("ed25519:{}", world.alice.device_id): KEY},
            "signatures": {"@alice:hs": {format!("ed25519:{}", world.alice.device_id): KEY}},
        })
    };
    let valid = match tail {
        // The names of the keys are free, and the signatures fit nothing, which is found first.
        "/keys/upload" => Valid::body(json!({
            "one_time_keys": {"curve25519:AAAAAQ": KEY}, "fallback_keys": {"curve25519:AAAAAg": KEY},
        })),
        "/keys/query" => Valid::body(json!({"device_keys": {"@alice:hs": []}, "timeout": 10})).free(&["/timeout"]),
        "/keys/claim" => {
            Valid::body(json!({"one_time_keys": {"@bob:hs": {"PHONE": "signed_curve25519"}}, "timeout": 10}))
                .free(&["/timeout"])
        }
        "/keys/device_signing/upload" => Valid::body(json!({
            "master_key": {"user_id": world.alice.user_id, "usage": ["master"], "keys": {format!("ed25519:{KEY}"): KEY}},
        }))
        .free(&["/auth"]),
        // Each key that is refused has its reason in an answer that is no error.
        "/keys/signatures/upload" => {
            Valid::body(json!({"@alice:hs": {"PHONE": device()}})).free(&["/@alice:hs/PHONE"])
        }
        "/room_keys/version" => {
            Valid::body(json!({"algorithm": "m.megolm_backup.v1", "auth_data": {"public_key": "abc", "signatures": {}}}))
                .free(&["/auth_data/public_key", "/auth_data/signatures"])
        }
        _ => return None,
    };
    Some(valid)
}

fn room_post(tail: &str, world: &World<'_>) -> Option<Valid> {
    if tail.contains("/report") {
        return Some(Valid::body(json!({"reason": "spam"})));
    }
    let of_bob = || Valid::body(json!({"user_id": "@bob:hs", "reason": "because"}));
    let valid = match tail {
        "/createRoom" => create_room(),
        "/join/{room_id_or_alias}"
        | "/knock/{room_id_or_alias}"
        | "/rooms/{room_id}/join"
        | "/rooms/{room_id}/leave" => Valid::body(json!({"reason": "because"})),
        "/rooms/{room_id}/forget" => Valid::default(),
        "/rooms/{room_id}/invite" => Valid::body(json!({"user_id": "@carol:hs", "reason": "because"})),
        "/rooms/{room_id}/kick" | "/rooms/{room_id}/ban" | "/rooms/{room_id}/unban" => of_bob(),
        "/rooms/{room_id}/send/{event_type}" => message(),
        "/rooms/{room_id}/upgrade" => {
            Valid::body(json!({"new_version": "12", "additional_creators": ["@bob:hs"]}))
        }
        "/rooms/{room_id}/receipt/{receipt_type}/{event_id}" => Valid::body(json!({"thread_id": "main"})),
        "/rooms/{room_id}/read_markers" => Valid::body(json!({
            "m.fully_read": world.event, "m.read": world.event, "m.read.private": world.event,
        })),
        _ => return None,
    };
    Some(valid)
}

fn create_room() -> Valid {
    Valid::body(json!({
        "name": "a", "topic": "b", "visibility": "private", "preset": "private_chat", "room_version": "12",
        "invite": ["@bob:hs"], "invite_3pid": [], "is_direct": false, "creation_content": {"m.federate": false},
        "initial_state": [{"type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "forbidden"}}],
        "power_level_content_override": {"users_default": 0, "events": {"m.room.name": 50}},
    }))
    .free(&["/initial_state/0/content/guest_access", "/creation_content/m.federate"])
}

fn message() -> Valid {
    Valid::body(json!({"msgtype": "m.text", "body": "x"})).free(&["/msgtype", "/body"])
}

fn other_post(tail: &str, _world: &World<'_>) -> Option<Valid> {
    let valid = match tail {
        "/org.matrix.simplified_msc3575/sync" => sliding(),
        "/sync" => merged_sliding(),
        "/delayed_events/{delay_id}/{action}" | "/org.matrix.msc4140/delayed_events/{delay_id}/{action}" => Valid::default(),
        "/org.matrix.msc4140/delayed_events/{delay_id}" => Valid::body(json!({"action": "restart"})),
        "/publicRooms" => Valid::body(json!({
            "limit": 5, "since": "p1_0", "filter": {"generic_search_term": "x", "room_types": [null, "m.space"]},
            "include_all_networks": false, "third_party_instance_id": "irc",
        })),
        "/search" => search(),
        "/user_directory/search" => Valid::body(json!({"search_term": "bob", "limit": 5})),
        "/user/{user_id}/openid/request_token" => Valid::default(),
        "/user/{user_id}/filter" => filter(),
        "/pushers/set" => Valid::body(json!({
            "kind": "http", "app_id": "app", "pushkey": "key", "app_display_name": "App", "device_display_name": "Phone",
            "profile_tag": "tag", "lang": "en", "data": {"url": "https://push.example.org/_matrix/push/v1/notify",
            "format": "event_id_only"}, "append": false,
        }))
        .free(&["/data/format"]),
        "/create" => Valid::body(json!({})),
        // The body is the file, whatever it is, or what devices say to one another.
        "/upload" | "/org.matrix.msc4108/rendezvous" => Valid::default(),
        "/io.element.msc4388/rendezvous" => Valid::body(json!({"data": "hello"})),
        _ => return None,
    };
    Some(valid)
}

fn sliding() -> Valid {
    Valid::body(json!({
        "conn_id": "main",
        "lists": {"all": {
            "ranges": [[0, 9]], "timeline_limit": 3, "required_state": [["m.room.name", ""]],
            "filters": {"is_dm": false, "is_encrypted": false, "is_invite": false, "room_types": [null],
                "not_room_types": ["m.space"], "tags": ["m.favourite"], "not_tags": []},
        }},
        "room_subscriptions": {"!room:hs": {"timeline_limit": 3, "required_state": [["*", "*"]]}},
        "extensions": {"to_device": {"enabled": true, "limit": 10}, "e2ee": {"enabled": true},
            "account_data": {"enabled": true}, "receipts": {"enabled": true}, "typing": {"enabled": true},
            "io.element.msc4308.thread_subscriptions": {"enabled": true, "limit": 10},
            "org.matrix.msc4262.profiles": {"enabled": true, "lists": ["all"], "rooms": ["*"], "fields": ["m.status"]}},
    }))
    .query("timeout=0")
}

fn merged_sliding() -> Valid {
    let state = json!({"include": [{"type": "m.room.name", "state_key": ""}, {}], "exclude": [{"type": "a"}],
        "lazy_members": true});
    Valid::body(json!({
        "conn_id": "merged", "timeout": 0,
        "lists": {"all": {
            "range": [0, 9], "timeline_limit": 3, "required_state": state,
            "filters": {"is_dm": false, "is_encrypted": false, "is_invited": false, "room_types": [null],
                "not_room_types": ["m.space"], "tags": ["m.favourite"], "not_tags": []},
        }},
        "room_subscriptions": {"!room:hs": {"timeline_limit": 3, "required_state": {}}},
        "extensions": {"to_device": {"enabled": true, "limit": 10}, "e2ee": {"enabled": true},
            "account_data": {"enabled": true}, "receipts": {"enabled": true}, "typing": {"enabled": true}},
    }))
}

fn search() -> Valid {
    Valid::body(json!({"search_categories": {"room_events": {
        "search_term": "word", "keys": ["content.body"], "filter": {"limit": 5, "rooms": ["!room:hs"]},
        "order_by": "recent", "include_state": true,
        "event_context": {"before_limit": 1, "after_limit": 1, "include_profile": true},
        "groupings": {"group_by": [{"key": "room_id"}]},
    }}}))
}

fn filter() -> Valid {
    Valid::body(json!({
        "event_fields": ["type"], "event_format": "client",
        "presence": {"types": ["m.presence"], "limit": 5}, "account_data": {"not_types": ["x"]},
        "room": {
            "rooms": ["!room:hs"], "not_rooms": [], "include_leave": true,
            "timeline": {"limit": 5, "contains_url": true, "lazy_load_members": true, "senders": ["@bob:hs"]},
            "state": {"types": ["m.room.*"], "not_senders": []}, "ephemeral": {"types": []},
            "account_data": {"types": []},
        },
    }))
}

fn room_put(tail: &str, world: &World<'_>) -> Option<Valid> {
    let valid = match tail {
        "/rooms/{room_id}/send/{event_type}/{txn_id}" => message(),
        "/rooms/{room_id}/redact/{event_id}/{txn_id}" => Valid::body(json!({"reason": "because"})),
        "/rooms/{room_id}/state/{event_type}"
        | "/rooms/{room_id}/state/{event_type}/"
        | "/rooms/{room_id}/state/{event_type}/{state_key}" => Valid::body(json!({"a": 1})).free(&["/a"]),
        "/rooms/{room_id}/delayed_event/{event_type}/{txn_id}"
        | "/org.matrix.msc4140/rooms/{room_id}/delayed_event/{event_type}/{txn_id}" => {
            Valid::body(json!({"delay_ms": 1000, "content": {"body": "x"}})).free(&["/content/body"])
        }
        THREAD => Valid::body(json!({"automatic": world.reply})),
        "/rooms/{room_id}/typing/{user_id}" => Valid::body(json!({"typing": true, "timeout": 1000})),
        "/user/{user_id}/rooms/{room_id}/tags/{tag}" => Valid::body(json!({"order": 0.5})),
        "/user/{user_id}/account_data/{event_type}"
        | "/user/{user_id}/rooms/{room_id}/account_data/{event_type}" => {
            Valid::body(json!({"a": 1})).free(&["/a"])
        }
        "/directory/room/{room_alias}" => Valid::body(json!({"room_id": world.room})),
        "/directory/list/room/{room_id}" => Valid::body(json!({"visibility": "public"})),
        _ => return None,
    };
    Some(valid)
}

fn other_put(tail: &str, world: &World<'_>) -> Option<Valid> {
    let session = || {
        json!({
            "first_message_index": 1, "forwarded_count": 0, "is_verified": false,
            "session_data": {"ephemeral": "a", "ciphertext": "b", "mac": "c"},
        })
    };
    let valid = match tail {
        "/admin/lock/{user_id}" => Valid::body(json!({"locked": false})),
        "/admin/suspend/{user_id}" => Valid::body(json!({"suspended": false})),
        "/federation/v1/3pid/onbind" => Valid::body(json!({
            "medium": "email", "address": "dora@example.org", "mxid": "@bob:hs",
            "invites": [{"room_id": world.room, "sender": "@alice:hs", "signed": {"token": "x"}}],
        }))
        .free(&["/invites/0/signed/token"]),
        "/devices/{device_id}" => Valid::body(json!({"display_name": "laptop"})),
        "/sendToDevice/{event_type}/{txn_id}" => {
            Valid::body(json!({"messages": {"@bob:hs": {"*": {"a": 1}}}})).free(&["/messages/@bob:hs/*/a"])
        }
        "/room_keys/version/{version}" => Valid::body(json!({
            "algorithm": "m.megolm_backup.v1", "auth_data": {"public_key": "abc", "signatures": {}},
            "version": world.backup,
        }))
        .free(&["/auth_data/public_key", "/auth_data/signatures"]),
        "/room_keys/keys" => Valid::body(json!({"rooms": {"!room:hs": {"sessions": {"one": session()}}}}))
            .query(version(world))
            .free(&[
                "/rooms/!room:hs/sessions/one/session_data/ephemeral",
                "/rooms/!room:hs/sessions/one/session_data/ciphertext",
                "/rooms/!room:hs/sessions/one/session_data/mac",
            ]),
        "/room_keys/keys/{room_id}" => {
            Valid::body(json!({"sessions": {"one": session()}})).query(version(world)).free(&[
                "/sessions/one/session_data/ephemeral",
                "/sessions/one/session_data/ciphertext",
                "/sessions/one/session_data/mac",
            ])
        }
        "/room_keys/keys/{room_id}/{session_id}" => Valid::body(session()).query(version(world)).free(&[
            "/session_data/ephemeral",
            "/session_data/ciphertext",
            "/session_data/mac",
        ]),
        "/_synapse/admin/v1/send_server_notice/{txn_id}" => notice(),
        "/upload/{server_name}/{media_id}" | "/org.matrix.msc4108/rendezvous/{id}" => Valid::default(),
        "/io.element.msc4388/rendezvous/{id}" => {
            Valid::body(json!({"sequence_token": "seen", "data": "hello"}))
        }
        // The value of a field is what its owner wants, but the name and the picture.
        "/profile/{user_id}/{key_name}" => Valid::body(json!({"displayname": "Alice"})),
        "/presence/{user_id}/status" => Valid::body(json!({"presence": "online", "status_msg": "here"})),
        "/pushrules/global/{kind}/{rule_id}" => Valid::body(json!({
            "actions": ["notify", {"set_tweak": "sound", "value": "default"}],
            "conditions": [{"kind": "event_match", "key": "content.body", "pattern": "x*"}],
        }))
        // What a client does not know, it passes over.
        .free(&["/actions/0", "/actions/1"]),
        "/pushrules/global/{kind}/{rule_id}/enabled" => Valid::body(json!({"enabled": true})),
        "/pushrules/global/{kind}/{rule_id}/actions" => {
            Valid::body(json!({"actions": ["notify"]})).free(&["/actions/0"])
        }
        _ => return None,
    };
    Some(valid)
}
