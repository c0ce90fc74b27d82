//! Pushers over HTTP, and what their gateways get.

use std::time::Duration;

use http::StatusCode;
use myelin_notify::GatewayError;
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Value, json};
use tokio::time::timeout;

const V3: &str = "/_matrix/client/v3";
const URL: &str = "https://push.example.org/_matrix/push/v1/notify";

fn pusher(pushkey: &str) -> Value {
    json!({
        "kind": "http", "app_id": "org.example.app", "pushkey": pushkey, "app_display_name": "App",
        "device_display_name": "Phone", "profile_tag": "tag", "lang": "en",
        "data": { "url": URL, "custom": { "a": 1 } },
    })
}

async fn set(client: &Client<'_>, pusher: Value) -> Answer {
    client.post(&format!("{V3}/pushers/set"), pusher).await
}

async fn has_set(client: &Client<'_>, pusher: Value) {
    assert_eq!(set(client, pusher).await.ok(), json!({}));
}

async fn keys(client: &Client<'_>) -> Vec<String> {
    let listed = client.get(&format!("{V3}/pushers")).await.ok();
    let pushers = listed["pushers"].as_array().into_iter().flatten();
    pushers.filter_map(|pusher| pusher["pushkey"].as_str().map(str::to_owned)).collect()
}

async fn login(server: &TestServer, user_id: &str, password: &str) -> Answer {
    let body = json!({
        "type": "m.login.password", "password": password,
        "identifier": { "type": "m.id.user", "user": user_id },
    });
    server.anonymous().post(&format!("{V3}/login"), body).await
}

async fn change_password(client: &Client<'_>, old: &str, new: &str) {
    let auth = json!({
        "type": "m.login.password", "password": old,
        "identifier": { "type": "m.id.user", "user": client.user_id },
    });
    let path = format!("{V3}/account/password");
    let first = client.post(&path, json!({ "new_password": new })).await;
    let mut auth = auth;
    auth["session"] = first.body["session"].clone();
    assert_eq!(client.post(&path, json!({ "new_password": new, "auth": auth })).await.ok(), json!({}));
}

async fn join(client: &Client<'_>, room: &str) {
    let _ = client.post(&format!("{V3}/join/{room}"), json!({})).await.ok();
}

async fn read(client: &Client<'_>, room: &str, event: &str) {
    let path = format!("{V3}/rooms/{room}/receipt/m.read/{event}");
    assert_eq!(client.post(&path, json!({})).await.ok(), json!({}));
}

/// Alice and Bob in a room, and Bob's client with a pusher.
async fn pair(server: &TestServer) -> (Client<'_>, Client<'_>, String) {
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let name = format!("{V3}/profile/{}/displayname", alice.user_id);
    assert_eq!(alice.put(&name, json!({ "displayname": "Major Tom" })).await.ok(), json!({}));
    let room = alice.create_room(json!({ "preset": "public_chat", "name": "Mission Control" })).await;
    join(&bob, &room).await;
    has_set(&bob, pusher("key")).await;
    (alice, bob, room)
}

#[tokio::test]
async fn pushers_are_set_changed_listed_and_deleted() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    has_set(&alice, pusher("one")).await;
    let mut listed = alice.get(&format!("{V3}/pushers")).await.ok();
    assert_eq!(listed["pushers"][0].take(), pusher("one"));
    let mut changed = pusher("one");
    changed["lang"] = json!("de");
    has_set(&alice, changed).await;
    has_set(&alice, pusher("two")).await;
    assert_eq!(keys(&alice).await, ["one", "two"]);

    let mut appended = pusher("one");
    appended["append"] = json!(true);
    has_set(&bob, appended).await;
    assert_eq!((keys(&alice).await.len(), keys(&bob).await.len()), (2, 1));
    has_set(&bob, pusher("one")).await;
    assert_eq!(keys(&alice).await, ["two"], "one device can't be two users' at once");

    has_set(&alice, json!({ "kind": null, "app_id": "org.example.app", "pushkey": "two" })).await;
    has_set(&alice, json!({ "kind": null, "app_id": "org.example.app", "pushkey": "none" })).await;
    assert!(keys(&alice).await.is_empty());
    let token = bob.token.clone();
    let server = server.restart().await;
    let mut bob = server.anonymous();
    bob.token = token;
    assert_eq!(keys(&bob).await, ["one"]);
}

#[tokio::test]
async fn what_is_no_pusher_is_refused() {
    let server = TestServer::new(2).await;
    let alice = server.register("alice").await;
    let refused = async |change: &dyn Fn(&mut Value), errcode: &str| {
        let mut body = pusher("key");
        change(&mut body);
        let answer = set(&alice, body).await;
        assert_eq!((answer.status, answer.errcode()), (StatusCode::BAD_REQUEST, errcode), "{}", answer.body);
    };
    for field in ["kind", "app_id", "pushkey", "lang", "data", "app_display_name", "device_display_name"] {
        refused(&|body| drop(body.as_object_mut().unwrap().remove(field)), "M_MISSING_PARAM").await;
    }
    refused(&|body| body["data"] = json!([]), "M_BAD_JSON").await;
    refused(&|body| body["kind"] = json!("email"), "M_INVALID_PARAM").await;
    refused(&|body| body["pushkey"] = json!("x".repeat(513)), "M_INVALID_PARAM").await;
    refused(&|body| body["app_id"] = json!("x".repeat(65)), "M_INVALID_PARAM").await;
    for url in [
        json!(null),
        json!(3),
        json!("https://push.example.org/other"),
        json!("http://push.example.org/_matrix/push/v1/notify"),
    ] {
        refused(&|body| body["data"]["url"] = url.clone(), "M_INVALID_PARAM").await;
    }
    assert!(keys(&alice).await.is_empty());
}

#[tokio::test]
async fn a_pusher_goes_with_its_session_and_a_new_password_ends_those_of_others() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let other = login(&server, &alice.user_id, "correct horse").await.ok();
    let mut second = server.anonymous();
    second.token = other["access_token"].as_str().map(str::to_owned);
    has_set(&second, pusher("second")).await;
    has_set(&alice, pusher("first")).await;
    change_password(&alice, "correct horse", "battery staple").await;
    assert_eq!(keys(&alice).await, ["first"]);

    let other = login(&server, &alice.user_id, "battery staple").await.ok();
    second.token = other["access_token"].as_str().map(str::to_owned);
    has_set(&second, pusher("second")).await;
    assert_eq!(second.post(&format!("{V3}/logout"), json!({})).await.ok(), json!({}));
    assert_eq!(keys(&alice).await, ["first"]);
}

#[tokio::test]
async fn a_gateway_gets_what_the_specification_says() {
    let server = TestServer::new(4).await;
    let (alice, bob, room) = pair(&server).await;
    let event = alice.say(&room, "1", "I'm floating").await;
    let pushed = server.gateway.next().await;
    assert_eq!(pushed.url, URL);
    let mut got = pushed.notification;
    let device = got["devices"][0].take();
    assert_eq!(
        got,
        json!({
            "event_id": event, "room_id": room, "type": "m.room.message", "sender": alice.user_id,
            "sender_display_name": "Major Tom", "room_name": "Mission Control", "prio": "high",
            "content": { "msgtype": "m.text", "body": "I'm floating" },
            "counts": { "unread": 1 }, "devices": [null],
        })
    );
    assert_eq!(
        device,
        json!({
            "app_id": "org.example.app", "pushkey": "key", "pushkey_ts": 1_767_225_600,
            "data": { "custom": { "a": 1 } }, "tweaks": { "sound": "default" },
        })
    );

    let mut only_ids = pusher("key");
    only_ids["data"]["format"] = json!("event_id_only");
    has_set(&bob, only_ids).await;
    let carol = server.register("carol").await;
    join(&carol, &room).await;
    let event = alice.say(&room, "2", "in a most peculiar way").await;
    let got = server.gateway.next().await.notification;
    let fields: Vec<&String> = got.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["counts", "devices", "event_id", "prio", "room_id"]);
    assert_eq!((&got["event_id"], &got["prio"]), (&json!(event), &json!("low")), "no sound among three");
    assert_eq!(got["devices"][0]["data"], json!({ "custom": { "a": 1 }, "format": "event_id_only" }));
    assert_eq!(got["counts"]["unread"], 2);
}

#[tokio::test]
async fn only_what_notifies_is_pushed_and_an_invite_does() {
    let server = TestServer::new(5).await;
    let (alice, bob, room) = pair(&server).await;
    bob.say(&room, "1", "my own").await;
    let quiet = json!({ "actions": [] });
    let rule = format!("{V3}/pushrules/global/room/{room}");
    assert_eq!(bob.put(&rule, quiet).await.ok(), json!({}));
    alice.say(&room, "1", "muted").await;
    let other = alice.create_room(json!({ "invite": [bob.user_id] })).await;
    let got = server.gateway.next().await.notification;
    assert_eq!((&got["room_id"], &got["type"]), (&json!(other), &json!("m.room.member")));
    assert_eq!(got["user_is_target"], true);
    let topic = format!("{V3}/rooms/{room}/state/m.room.topic");
    let _ = alice.put(&topic, json!({ "topic": "state" })).await.ok();
    let mention = json!({ "msgtype": "m.text", "body": "x", "m.mentions": { "user_ids": [bob.user_id] } });
    let _ = alice.put(&format!("{V3}/rooms/{room}/send/m.room.message/2"), mention).await.ok();
    let got = server.gateway.next().await.notification;
    assert_eq!(got["devices"][0]["tweaks"], json!({ "highlight": true, "sound": "default" }));
}

#[tokio::test]
async fn a_failing_gateway_is_tried_again_after_pauses_that_grow() {
    let server = TestServer::new(6).await;
    let (alice, _bob, room) = pair(&server).await;
    tokio::time::pause();
    for _ in 0..4 {
        server.gateway.answer(Err(GatewayError::Status(503)));
    }
    let event = alice.say(&room, "1", "again and again").await;
    assert_eq!(server.gateway.next().await.notification["event_id"], event.as_str());
    for pause in [1, 2, 4, 8] {
        let early = Duration::from_secs(pause) - Duration::from_millis(5);
        assert!(timeout(early, server.gateway.next()).await.is_err(), "before {pause} s");
        let pushed = timeout(Duration::from_millis(10), server.gateway.next()).await.unwrap();
        assert_eq!(pushed.notification["event_id"], event.as_str());
    }
    let event = alice.say(&room, "2", "and all is well").await;
    assert_eq!(server.gateway.next().await.notification["event_id"], event.as_str());
}

#[tokio::test]
async fn what_was_not_delivered_is_sent_after_a_restart_unless_it_was_read() {
    let server = TestServer::new(7).await;
    let (alice, bob, room) = pair(&server).await;
    tokio::time::pause();
    server.gateway.answer(Err(GatewayError::Unreachable("for a test".to_owned())));
    let first = alice.say(&room, "1", "not delivered, then read").await;
    assert_eq!(server.gateway.next().await.notification["event_id"], first.as_str());
    read(&bob, &room, &first).await;
    let second = alice.say(&room, "2", "not delivered").await;
    let server = server.restart().await;
    let got = server.gateway.next().await.notification;
    assert_eq!(got["event_id"], second.as_str());
    assert_eq!(got["counts"], json!({ "unread": 1 }));
}

#[tokio::test]
async fn a_rejected_key_ends_its_pusher() {
    let server = TestServer::new(8).await;
    let (alice, bob, room) = pair(&server).await;
    has_set(&bob, pusher("other")).await;
    server.gateway.answer(Ok(json!({ "rejected": ["key"] })));
    server.gateway.answer(Ok(json!({ "rejected": ["key"] })));
    alice.say(&room, "1", "x").await;
    let mut got = [server.gateway.next().await, server.gateway.next().await]
        .map(|pushed| pushed.notification["devices"][0]["pushkey"].as_str().unwrap().to_owned());
    got.sort_unstable();
    assert_eq!(got, ["key", "other"]);
    let event = alice.say(&room, "2", "y").await;
    let pushed = server.gateway.next().await.notification;
    assert_eq!((&pushed["event_id"], &pushed["devices"][0]["pushkey"]), (&json!(event), &json!("other")));
    assert_eq!(keys(&bob).await, ["other"]);
}
