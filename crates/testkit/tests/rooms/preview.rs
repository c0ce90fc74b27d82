//! Looking at a room without joining it (client-server API, "Room Previews").

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

fn bodies(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().filter_map(|event| event["content"]["body"].as_str()).collect()
}

async fn readable_by_the_world(alice: &Client<'_>) -> String {
    let rule = json!({ "history_visibility": "world_readable" });
    let rule = json!([{ "type": "m.room.history_visibility", "state_key": "", "content": rule }]);
    alice.create_room(json!({ "name": "Tea", "visibility": "public", "initial_state": rule })).await
}

#[tokio::test]
async fn who_is_not_in_a_room_that_anybody_may_read_sees_its_state_and_newest_messages() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = readable_by_the_world(&alice).await;
    for n in ["one", "two", "three"] {
        alice.say(&room, n, n).await;
    }
    let path = format!("{V3}/rooms/{room}/initialSync");
    let shown = bob.get(&format!("{path}?limit=2")).await.ok();
    assert_eq!((&shown["room_id"], &shown["visibility"]), (&json!(room), &json!("public")));
    assert!(shown.get("membership").is_none(), "{shown}");
    assert_eq!(bodies(&shown["messages"]["chunk"]), ["two", "three"]);
    let names: Vec<&Value> =
        shown["state"].as_array().unwrap().iter().filter(|event| event["type"] == "m.room.name").collect();
    assert_eq!(names[0]["content"]["name"], "Tea");
    // Either token leads on.
    let (start, end) =
        (shown["messages"]["start"].as_str().unwrap(), shown["messages"]["end"].as_str().unwrap());
    let messages = format!("{V3}/rooms/{room}/messages");
    let older = bob.get(&format!("{messages}?dir=b&limit=1&from={start}")).await.ok();
    assert_eq!(bodies(&older["chunk"]), ["one"]);
    alice.say(&room, "four", "four").await;
    let newer = bob.get(&format!("{messages}?dir=f&from={end}")).await.ok();
    assert_eq!(bodies(&newer["chunk"]), ["four"]);
}

#[tokio::test]
async fn who_is_in_a_room_sees_what_is_theirs_too_and_who_may_not_read_it_sees_nothing() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "name": "Closed" })).await;
    let path = format!("{V3}/rooms/{room}/initialSync");
    let own = |client: &Client<'_>, kind: &str| {
        format!("{V3}/user/{}/rooms/{room}/account_data/{kind}", client.user_id)
    };
    alice.put(&own(&alice, "org.example.kept"), json!({ "a": 1 })).await.done();
    alice.put(&own(&alice, "org.example.gone"), json!({ "a": 1 })).await.done();
    alice.put(&own(&alice, "org.example.gone"), json!({})).await.done();
    let shown = alice.get(&path).await.ok();
    assert_eq!((&shown["membership"], &shown["visibility"]), (&json!("join"), &json!("private")));
    assert_eq!(shown["account_data"], json!([{ "type": "org.example.kept", "content": { "a": 1 } }]));
    let refused = bob.get(&path).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    let bad = alice.get(&format!("{path}?limit=many")).await;
    assert_eq!((bad.status, bad.errcode()), (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
    // Who left sees what was there when they did.
    alice.post(&format!("{V3}/rooms/{room}/invite"), json!({ "user_id": bob.user_id })).await.done();
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    alice.say(&room, "1", "seen").await;
    bob.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.done();
    alice.say(&room, "2", "unseen").await;
    alice.put(&format!("{V3}/rooms/{room}/state/m.room.name"), json!({ "name": "Later" })).await.done();
    let shown = bob.get(&path).await.ok();
    assert_eq!((&shown["membership"], bodies(&shown["messages"]["chunk"])), (&json!("leave"), vec!["seen"]));
    assert!(shown["state"].to_string().contains("Closed") && !shown["state"].to_string().contains("Later"));
}
