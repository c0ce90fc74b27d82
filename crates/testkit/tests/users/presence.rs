//! Presence over HTTP.

use std::time::Duration;

use http::StatusCode;
use myelin_server::config::{Config, Registration};
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

fn status_path(user: &Client<'_>) -> String {
    format!("{V3}/presence/{}/status", user.user_id)
}

async fn set(user: &Client<'_>, body: Value) {
    let _ = user.put(&status_path(user), body).await.ok();
}

async fn join(user: &Client<'_>, room: &str) {
    let _ = user.post(&format!("{V3}/rooms/{room}/join"), json!({})).await.ok();
}

/// Syncs until the presence of a user is told, and answers with its content and the next token.
async fn told(of: &Client<'_>, to: &Client<'_>, since: &str) -> (Value, String) {
    let mut since = since.to_owned();
    for _ in 0..20 {
        let path = format!("{V3}/sync?timeout=30000&set_presence=offline&since={since}");
        let answer = to.get(&path).await.ok();
        since = answer["next_batch"].as_str().unwrap_or_default().to_owned();
        let events = answer["presence"]["events"].as_array().cloned().unwrap_or_default();
        if let Some(event) = events.iter().find(|event| event["sender"] == *of.user_id) {
            return (event["content"].clone(), since);
        }
    }
    panic!("the presence of {} is not told", of.user_id);
}

async fn token(user: &Client<'_>) -> String {
    let answer = user.get(&format!("{V3}/sync?set_presence=offline")).await.ok();
    answer["next_batch"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn presence_is_read_set_and_told_to_those_who_share_a_room() {
    let server = TestServer::new(1).await;
    let (alice, bob, eve) =
        (server.register("alice").await, server.register("bob").await, server.register("eve").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    join(&bob, &room).await;
    assert_eq!(alice.get(&status_path(&alice)).await.ok(), json!({ "presence": "offline" }));
    let since = token(&bob).await;
    set(&alice, json!({ "presence": "online", "status_msg": "Testing something" })).await;
    let seen = bob.get(&status_path(&alice)).await.ok();
    assert_eq!((&seen["presence"], &seen["status_msg"]), (&json!("online"), &json!("Testing something")));
    let refused = eve.get(&status_path(&alice)).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    let refused = eve.get(&format!("{V3}/presence/@nobody:hs/status")).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));

    let (content, since) = told(&alice, &bob, &since).await;
    assert_eq!(content["status_msg"], "Testing something");
    assert_eq!((&content["currently_active"], &content["last_active_ago"]), (&json!(true), &json!(0)));
    let _ = alice.get(&format!("{V3}/sync?timeout=0&set_presence=unavailable")).await.ok();
    let (content, since) = told(&alice, &bob, &since).await;
    assert_eq!(content["presence"], "unavailable");
    alice.say(&room, "1", "I am here").await;
    let (content, since) = told(&alice, &bob, &since).await;
    assert_eq!(content["presence"], "online", "who writes is there");
    server.clock.advance(Duration::from_secs(31));
    let (content, _) = told(&alice, &bob, &since).await;
    assert_eq!((&content["presence"], &content["last_active_ago"]), (&json!("offline"), &json!(31_000)));
}

#[tokio::test(start_paused = true)]
async fn new_members_and_new_rooms_bring_presence_along() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    set(&bob, json!({ "presence": "online" })).await;
    set(&alice, json!({ "presence": "unavailable" })).await;
    let (before_alice, before_bob) = (token(&alice).await, token(&bob).await);
    join(&bob, &room).await;
    assert_eq!(told(&bob, &alice, &before_alice).await.0["presence"], "online");
    assert_eq!(told(&alice, &bob, &before_bob).await.0["presence"], "unavailable");
    let first = alice.get(&format!("{V3}/sync")).await.ok();
    let events = first["presence"]["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["sender"] == *bob.user_id), "{first}");
}

#[tokio::test(start_paused = true)]
async fn a_sliding_sync_shows_its_user_too() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    let _ = alice.post(&format!("{path}?set_presence=unavailable"), json!({})).await.ok();
    assert_eq!(alice.get(&status_path(&alice)).await.ok()["presence"], "unavailable");
    let refused = alice.post(&format!("{path}?set_presence=asleep"), json!({})).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
    let refused = alice.get(&format!("{V3}/sync?set_presence=asleep")).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_presence_is_refused() {
    let server = TestServer::new(4).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    for (body, errcode) in [
        (json!({ "presence": "asleep" }), "M_INVALID_PARAM"),
        (json!({ "status_msg": "no state" }), "M_BAD_JSON"),
        (json!({ "presence": "online", "status_msg": 3 }), "M_BAD_JSON"),
        (json!({ "presence": "online", "status_msg": "x".repeat(1_025) }), "M_INVALID_PARAM"),
    ] {
        let refused = alice.put(&status_path(&alice), body.clone()).await;
        assert_eq!((refused.status, refused.errcode()), (StatusCode::BAD_REQUEST, errcode), "{body}");
    }
    let refused = bob.put(&status_path(&alice), json!({ "presence": "online" })).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
}

#[tokio::test(start_paused = true)]
async fn where_it_is_switched_off_everybody_is_offline() {
    let mut config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    config.presence.enabled = false;
    let server = TestServer::with(5, config).await;
    let alice = server.register("alice").await;
    set(&alice, json!({ "presence": "online" })).await;
    let answer = alice.get(&format!("{V3}/sync")).await.ok();
    assert_eq!(answer["presence"], json!({ "events": [] }));
    assert_eq!(alice.get(&status_path(&alice)).await.ok(), json!({ "presence": "offline" }));
}
