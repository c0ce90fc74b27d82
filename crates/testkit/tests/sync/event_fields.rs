//! `event_fields` and `contains_url` of filters (client-server API, "Filtering") over HTTP.

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

/// Saves a filter and answers with what it lets through of the room.
async fn synced(client: &Client<'_>, filter: Value, room: &str) -> Value {
    let saved = client.post(&format!("{V3}/user/{}/filter", client.user_id), filter).await.ok();
    let id = saved["filter_id"].as_str().unwrap();
    client.get(&format!("{V3}/sync?timeout=0&filter={id}")).await.ok()["rooms"]["join"][room].take()
}

#[tokio::test]
async fn a_sync_has_the_fields_of_events_that_its_filter_names() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "name": "a room" })).await;
    let send = format!("{V3}/rooms/{room}/send/m.room.message/1");
    let content = json!({ "msgtype": "m.text", "body": "hi", "org.example": { "a.b": 1, "c": 2 } });
    alice.put(&send, content).await.done();
    let fields = json!(["content.body", "type", r"content.org\.example.a\.b", r"content.name", "nothing"]);
    let filter = json!({ "event_fields": fields, "room": { "timeline": { "limit": 1 } } });
    let shown = synced(&alice, filter.clone(), &room).await;
    let message =
        json!({ "type": "m.room.message", "content": { "body": "hi", "org.example": { "a.b": 1 } } });
    assert_eq!(shown["timeline"]["events"], json!([message]));
    let state = shown["state"]["events"].as_array().unwrap();
    assert!(state.contains(&json!({ "type": "m.room.name", "content": { "name": "a room" } })), "{state:?}");
    assert!(state.contains(&json!({ "type": "m.room.create" })), "{state:?}");
    // Written out in the query it says the same.
    let encoded: String = filter.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let path = format!("{V3}/sync?timeout=0&filter={encoded}");
    assert_eq!(alice.get(&path).await.ok()["rooms"]["join"][&room]["timeline"], shown["timeline"]);
    let all = synced(&alice, json!({ "event_fields": [] }), &room).await;
    assert!(all["timeline"]["events"][0]["event_id"].is_string(), "no field means no matter which: {all}");
}

#[tokio::test]
async fn fields_that_are_no_paths_are_refused_when_the_filter_is_saved_or_used() {
    let server = TestServer::new(2).await;
    let alice = server.register("alice").await;
    let deep = "a.".repeat(1_000);
    for fields in [json!("type"), json!([1]), json!({ "type": true }), json!([deep])] {
        let filter = json!({ "event_fields": fields });
        let saved = alice.post(&format!("{V3}/user/{}/filter", alice.user_id), filter.clone()).await;
        assert_eq!(
            (saved.status, saved.errcode()),
            (StatusCode::BAD_REQUEST, "M_BAD_JSON"),
            "{}",
            saved.body
        );
        let encoded: String = filter.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let used = alice.get(&format!("{V3}/sync?filter={encoded}")).await;
        assert_eq!(used.status, StatusCode::BAD_REQUEST, "{}", used.body);
    }
}

#[tokio::test]
async fn a_sync_has_events_with_a_url_only_or_those_without() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    alice.say(&room, "1", "words").await;
    let image = json!({ "msgtype": "m.image", "body": "image", "url": "mxc://hs/abc" });
    alice.put(&format!("{V3}/rooms/{room}/send/m.room.message/2"), image).await.done();
    let avatar = format!("{V3}/rooms/{room}/state/m.room.avatar");
    alice.put(&avatar, json!({ "url": "mxc://hs/abc" })).await.done();
    let kinds = |events: &Value| -> Vec<String> {
        let kind =
            |event: &Value| event["content"]["body"].as_str().or(event["type"].as_str()).map(str::to_owned);
        events["events"].as_array().unwrap().iter().filter_map(kind).collect()
    };
    let only = json!({ "room": { "timeline": { "contains_url": true } } });
    assert_eq!(kinds(&synced(&alice, only, &room).await["timeline"]), ["image", "m.room.avatar"]);
    let none = json!({ "room": { "timeline": { "limit": 1, "contains_url": false } } });
    assert_eq!(kinds(&synced(&alice, none, &room).await["timeline"]), ["words"]);
    let state = json!({ "room": { "timeline": { "limit": 0 }, "state": { "contains_url": true } } });
    assert_eq!(kinds(&synced(&alice, state, &room).await["state"]), ["m.room.avatar"]);
}
