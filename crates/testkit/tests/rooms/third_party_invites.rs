//! Inviting people by an address, through an identity server that the test runs on the loopback interface.
#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, Method, StatusCode};
use myelin_pdu::{CanonicalJsonRule, CanonicalObject, SigningKey, sign_json};
use myelin_server::config::{Config, IdentityServers, Registration};
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const V3: &str = "/_matrix/client/v3";
const ON_BIND: &str = "/_matrix/federation/v1/3pid/onbind";

/// What the identity server remembers.
#[derive(Clone, Default)]
struct Memory {
    /// The bodies of store-invite.
    invites: Arc<Mutex<Vec<Value>>>,
    revoked: Arc<AtomicBool>,
}

/// An identity server, and where it is.
struct IdentityServer {
    address: String,
    memory: Memory,
}

fn key() -> SigningKey {
    SigningKey::from_seed("ed25519:0".parse().unwrap(), &[5; 32]).unwrap()
}

type Answer = (StatusCode, Json<Value>);

/// Refuses all but one token.
fn guarded(headers: &HeaderMap, answer: Value) -> Answer {
    match headers.get("authorization").and_then(|value| value.to_str().ok()) {
        Some("Bearer good") => (StatusCode::OK, Json(answer)),
        Some("Bearer terms") => {
            (StatusCode::FORBIDDEN, Json(json!({ "errcode": "M_TERMS_NOT_SIGNED", "error": "agree" })))
        }
        _ => (StatusCode::UNAUTHORIZED, Json(json!({ "errcode": "M_UNAUTHORIZED", "error": "who?" }))),
    }
}

async fn look_up(headers: HeaderMap, Json(body): Json<Value>) -> Answer {
    assert_eq!((&body["algorithm"], &body["pepper"]), (&json!("none"), &json!("salt")));
    let known = body["addresses"].as_array().unwrap().iter().filter_map(Value::as_str);
    let known = known.filter(|address| *address == "bob@known.example email");
    let mappings: serde_json::Map<String, Value> =
        known.map(|address| (address.to_owned(), json!("@bob:hs"))).collect();
    guarded(&headers, json!({ "mappings": mappings }))
}

async fn store_invite(
    State((memory, base)): State<(Memory, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Answer {
    if body["address"] == "late@known.example" {
        let body = json!({ "errcode": "M_THREEPID_IN_USE", "error": "bound", "mxid": "@bob:hs" });
        return (StatusCode::BAD_REQUEST, Json(body));
    }
    memory.invites.lock().unwrap().push(body);
    let token = format!("token{}", memory.invites.lock().unwrap().len());
    let key = json!({
        "public_key": key().verifying_key().to_base64(),
        "key_validity_url": format!("{base}/_matrix/identity/v2/pubkey/isvalid"),
    });
    guarded(&headers, json!({ "token": token, "public_keys": [key], "display_name": "c...@n..." }))
}

async fn is_valid(
    State((memory, _)): State<(Memory, String)>,
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> Json<Value> {
    let known = query.get("public_key").is_some_and(|asked| *asked == key().verifying_key().to_base64());
    Json(json!({ "valid": known && !memory.revoked.load(Ordering::SeqCst) }))
}

impl IdentityServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let memory = Memory::default();
        let state = (memory.clone(), format!("http://{address}"));
        let details = async |headers: HeaderMap| {
            guarded(&headers, json!({ "lookup_pepper": "salt", "algorithms": ["none"] }))
        };
        let router = Router::new()
            .route("/_matrix/identity/v2/hash_details", get(details))
            .route("/_matrix/identity/v2/lookup", post(look_up))
            .route("/_matrix/identity/v2/store-invite", post(store_invite))
            .route("/_matrix/identity/v2/pubkey/isvalid", get(is_valid))
            .with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, memory }
    }

    fn invites(&self) -> Vec<Value> {
        self.memory.invites.lock().unwrap().clone()
    }

    /// What a client sends to invite an address.
    fn wish(&self, address: &str) -> Value {
        json!({
            "id_server": self.address, "id_access_token": "good", "medium": "email", "address": address,
        })
    }
}

/// The identity server's word that an address belongs to a user.
fn signed(fields: &Value) -> Value {
    let bytes = fields.to_string();
    let mut object = CanonicalObject::parse(bytes.as_bytes(), CanonicalJsonRule::Strict).unwrap();
    sign_json(&mut object, "id.example", &key()).unwrap();
    serde_json::from_slice(&object.to_bytes()).unwrap()
}

async fn server(seed: u64, identity_servers: IdentityServers) -> TestServer {
    let registration = Registration::Open;
    let mut config =
        Config { server_name: "hs".to_owned(), registration, identity_servers, ..Config::default() };
    config.limits.enabled = false;
    TestServer::with(seed, config).await
}

fn inside() -> IdentityServers {
    IdentityServers { allow_private_addresses: true, ..IdentityServers::default() }
}

async fn membership(of: &Client<'_>, room: &str, user: &str) -> Option<String> {
    let content = of.get(&format!("{V3}/rooms/{room}/state/m.room.member/{user}")).await;
    content.body["membership"].as_str().map(str::to_owned)
}

async fn state(of: &Client<'_>, room: &str, token: &str) -> Value {
    of.get(&format!("{V3}/rooms/{room}/state/m.room.third_party_invite/{token}")).await.body
}

#[tokio::test]
async fn whoever_has_the_address_is_invited_and_for_nobody_s_address_an_invite_waits() {
    let (server, identity) = (server(1, inside()).await, IdentityServer::start().await);
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "private_chat", "name": "Tea" })).await;
    let path = format!("{V3}/rooms/{room}/invite");
    alice.post(&path, identity.wish("Bob@Known.example")).await.done();
    assert_eq!(membership(&alice, &room, &bob.user_id).await.as_deref(), Some("invite"));
    assert!(identity.invites().is_empty());

    alice.post(&path, identity.wish("carol@nobody.example")).await.done();
    let [invite] = identity.invites().try_into().unwrap();
    assert_eq!(invite["address"], "carol@nobody.example");
    assert_eq!((&invite["room_id"], &invite["sender"]), (&json!(room), &json!("@alice:hs")));
    assert_eq!((&invite["room_name"], &invite["room_join_rules"]), (&json!("Tea"), &json!("invite")));
    let waiting = state(&alice, &room, "token1").await;
    assert_eq!(waiting["display_name"], "c...@n...");
    assert_eq!(waiting["public_keys"][0]["public_key"], waiting["public_key"]);

    // It turned out meanwhile.
    let other = alice.create_room(json!({ "preset": "private_chat" })).await;
    alice.post(&format!("{V3}/rooms/{other}/invite"), identity.wish("late@known.example")).await.done();
    assert_eq!(membership(&alice, &other, &bob.user_id).await.as_deref(), Some("invite"));
}

#[tokio::test]
async fn an_invite_is_redeemed_by_the_identity_server_s_notice_and_by_who_joins_with_its_signature() {
    let (server, identity) = (server(2, inside()).await, IdentityServer::start().await);
    let alice = server.register("alice").await;
    let (carol, dora) = (server.register("carol").await, server.register("dora").await);
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    let invite = format!("{V3}/rooms/{room}/invite");
    alice.post(&invite, identity.wish("carol@nobody.example")).await.done();
    alice.post(&invite, identity.wish("dora@nobody.example")).await.done();
    let notice = |signed: Value| {
        json!({
            "medium": "email", "address": "carol@nobody.example", "mxid": "@carol:hs",
            "invites": [{
                "medium": "email", "address": "carol@nobody.example", "mxid": "@carol:hs",
                "room_id": room, "sender": "@alice:hs", "signed": signed,
            }],
        })
    };
    let anybody = server.anonymous();
    let good = signed(&json!({ "mxid": "@carol:hs", "token": "token1" }));
    for (field, odd) in [("mxid", "@dora:hs"), ("token", "token2"), ("token", "none")] {
        let mut forged = good.clone();
        forged[field] = json!(odd);
        anybody.call(Method::PUT, ON_BIND, Some(&notice(forged))).await.done();
        assert_eq!(membership(&alice, &room, "@carol:hs").await, None, "{field} {odd}");
    }
    identity.memory.revoked.store(true, Ordering::SeqCst);
    anybody.call(Method::PUT, ON_BIND, Some(&notice(good.clone()))).await.done();
    assert_eq!(membership(&alice, &room, "@carol:hs").await, None, "its key is no longer valid");
    identity.memory.revoked.store(false, Ordering::SeqCst);
    anybody.call(Method::PUT, ON_BIND, Some(&notice(good.clone()))).await.done();
    assert_eq!(membership(&alice, &room, "@carol:hs").await.as_deref(), Some("invite"));
    carol.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    anybody.call(Method::PUT, ON_BIND, Some(&notice(good))).await.done();
    assert_eq!(membership(&alice, &room, "@carol:hs").await.as_deref(), Some("join"), "she stays");

    let join = format!("{V3}/rooms/{room}/join");
    let mine = signed(&json!({ "mxid": "@dora:hs", "token": "token2", "sender": "@alice:hs" }));
    let mut theirs = mine.clone();
    theirs["sender"] = json!("@carol:hs");
    for odd in [theirs, signed(&json!({ "mxid": "@carol:hs", "token": "token2", "sender": "@alice:hs" }))] {
        let refused = dora.post(&join, json!({ "third_party_signed": odd })).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.body);
    }
    let bare = dora.post(&join, json!({ "third_party_signed": { "mxid": "@dora:hs" } })).await;
    assert_eq!((bare.status, bare.errcode()), (StatusCode::BAD_REQUEST, "M_BAD_JSON"));
    dora.post(&join, json!({ "third_party_signed": mine })).await.done();
    assert_eq!(membership(&alice, &room, "@dora:hs").await.as_deref(), Some("join"));
}

#[tokio::test]
async fn a_new_room_invites_addresses_and_is_not_made_where_the_identity_server_refuses() {
    let (server, identity) = (server(3, inside()).await, IdentityServer::start().await);
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let wishes = [identity.wish("bob@known.example"), identity.wish("carol@nobody.example")];
    let wish = json!({ "preset": "private_chat", "invite_3pid": wishes, "invite": ["@bob:hs"] });
    let room = alice.create_room(wish).await;
    assert_eq!(membership(&alice, &room, &bob.user_id).await.as_deref(), Some("invite"));
    assert_eq!(state(&alice, &room, "token1").await["display_name"], "c...@n...");
    assert_eq!(identity.invites()[0]["room_id"], room);

    let mut stranger = identity.wish("carol@nobody.example");
    stranger["id_access_token"] = json!("bad");
    let refused = alice.post(&format!("{V3}/createRoom"), json!({ "invite_3pid": [stranger] })).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    let many = vec![identity.wish("carol@nobody.example"); 21];
    let refused = alice.post(&format!("{V3}/createRoom"), json!({ "invite_3pid": many })).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
    let rooms = alice.get(&format!("{V3}/joined_rooms")).await.ok();
    assert_eq!(rooms["joined_rooms"], json!([room]));
}

#[tokio::test]
async fn who_may_not_invite_has_nobody_asked_and_odd_requests_are_refused() {
    let (server, identity) = (server(4, inside()).await, IdentityServer::start().await);
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let levels = json!({ "invite": 50 });
    let wish = json!({ "preset": "public_chat", "power_level_content_override": levels });
    let room = alice.create_room(wish).await;
    let path = format!("{V3}/rooms/{room}/invite");
    let outside = bob.post(&path, identity.wish("carol@nobody.example")).await;
    assert_eq!((outside.status, outside.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    let powerless = bob.post(&path, identity.wish("carol@nobody.example")).await;
    assert_eq!((powerless.status, powerless.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    assert!(identity.invites().is_empty());
    for (field, value, status, errcode) in [
        ("address", "nobody", StatusCode::BAD_REQUEST, "M_INVALID_PARAM"),
        ("medium", "msisdn", StatusCode::BAD_REQUEST, "M_INVALID_PARAM"),
        ("medium", "pigeon", StatusCode::BAD_REQUEST, "M_INVALID_PARAM"),
        ("id_server", "a b", StatusCode::BAD_REQUEST, "M_SERVER_NOT_TRUSTED"),
        ("id_server", "127.0.0.1:1", StatusCode::BAD_REQUEST, "M_UNKNOWN"),
        ("id_access_token", "terms", StatusCode::FORBIDDEN, "M_TERMS_NOT_SIGNED"),
        ("id_access_token", "bad", StatusCode::FORBIDDEN, "M_FORBIDDEN"),
    ] {
        let mut wish = identity.wish("carol@nobody.example");
        wish[field] = json!(value);
        let refused = alice.post(&path, wish).await;
        assert_eq!((refused.status, refused.errcode()), (status, errcode), "{field}: {}", refused.body);
    }
    let mut number = identity.wish("18005552067");
    number["medium"] = json!("msisdn");
    let refused = alice.post(&path, number).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::BAD_REQUEST, "M_THREEPID_NOT_FOUND"));
}

#[tokio::test]
async fn an_identity_server_inside_or_not_allowed_or_any_where_they_are_off_is_not_trusted() {
    let identity = IdentityServer::start().await;
    let off = IdentityServers { enabled: false, ..inside() };
    let named = IdentityServers { allowed: vec!["id.example.org".to_owned()], ..inside() };
    for (seed, config) in [(5, IdentityServers::default()), (6, off), (7, named)] {
        let server = server(seed, config).await;
        let alice = server.register("alice").await;
        let room = alice.create_room(json!({ "preset": "private_chat" })).await;
        let wish = identity.wish("carol@nobody.example");
        let refused = alice.post(&format!("{V3}/rooms/{room}/invite"), wish).await;
        let said = (refused.status, refused.errcode());
        assert_eq!(said, (StatusCode::BAD_REQUEST, "M_SERVER_NOT_TRUSTED"), "{}", refused.body);
        assert!(refused.body["error"].as_str().unwrap().contains(&identity.address));
    }
}
