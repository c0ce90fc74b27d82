//! `GET /notifications` over HTTP.

use http::StatusCode;
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

async fn list(client: &Client<'_>, query: &str) -> Value {
    client.get(&format!("{V3}/notifications{query}")).await.ok()
}

fn events(page: &Value) -> Vec<&str> {
    let items = page["notifications"].as_array().into_iter().flatten();
    items.filter_map(|item| item["event"]["event_id"].as_str()).collect()
}

/// Rooms that Alice made and Bob joined.
async fn rooms(alice: &Client<'_>, bob: &Client<'_>, number: usize) -> Vec<String> {
    let mut rooms = Vec::new();
    for _ in 0..number {
        let room = alice.create_room(json!({ "preset": "public_chat" })).await;
        let _ = bob.post(&format!("{V3}/join/{room}"), json!({})).await.ok();
        rooms.push(room);
    }
    rooms
}

#[tokio::test]
async fn notifications_of_all_rooms_come_newest_first_and_page_by_page() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let rooms = rooms(&alice, &bob, 3).await;
    let mut said = Vec::new();
    for n in 0..40 {
        // Uneven, so that rooms run ahead of each other; the last room falls silent.
        let room = &rooms[[0, 0, 1, 0, 2][n % 5] % if n < 20 { 3 } else { 2 }];
        said.push(alice.say(room, &n.to_string(), "hello").await);
        if n % 7 == 0 {
            bob.say(room, &n.to_string(), "my own").await;
        }
    }
    said.reverse();
    let all = list(&bob, "?limit=100").await;
    assert_eq!(events(&all), said);
    assert_eq!(all.get("next_token"), None);
    for limit in [1, 3, 7, 39] {
        let mut got: Vec<String> = Vec::new();
        let mut query = format!("?limit={limit}");
        loop {
            let page = list(&bob, &query).await;
            assert!(events(&page).len() <= limit);
            got.extend(events(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next_token"].as_str() else { break };
            query = format!("?limit={limit}&from={next}");
        }
        assert_eq!(got, said, "limit {limit}");
    }
    assert_eq!(events(&list(&alice, "?limit=100").await).len(), 6, "what Bob said");
}

#[tokio::test]
async fn what_is_listed_follows_the_rules_and_says_what_was_read() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let rooms = rooms(&alice, &bob, 2).await;
    let plain = alice.say(&rooms[0], "1", "plain").await;
    let mention = json!({ "msgtype": "m.text", "body": "x", "m.mentions": { "user_ids": [bob.user_id] } });
    let path = format!("{V3}/rooms/{}/send/m.room.message/2", rooms[1]);
    let mention = alice.put(&path, mention).await.ok()["event_id"].take();
    let redacted = alice.say(&rooms[0], "3", "gone").await;
    let path = format!("{V3}/rooms/{}/redact/{redacted}/4", rooms[0]);
    let _ = alice.put(&path, json!({})).await.ok();
    let receipt = format!("{V3}/rooms/{}/receipt/m.read/{plain}", rooms[0]);
    let _ = bob.post(&receipt, json!({})).await.ok();

    let all = list(&bob, "").await;
    assert_eq!(events(&all), [mention.as_str().unwrap(), plain.as_str()]);
    let [first, second] = [&all["notifications"][0], &all["notifications"][1]];
    assert_eq!((&first["read"], &second["read"]), (&json!(false), &json!(true)));
    assert_eq!(first["room_id"], rooms[1]);
    assert_eq!(first["event"].get("room_id"), None);
    assert_eq!(second["actions"], json!(["notify", { "set_tweak": "sound", "value": "default" }]));
    assert!(first["ts"].is_u64());
    assert_eq!(events(&list(&bob, "?only=highlight").await), [mention.as_str().unwrap()]);

    let rule = format!("{V3}/pushrules/global/room/{}", rooms[0]);
    assert_eq!(bob.put(&rule, json!({ "actions": [] })).await.ok(), json!({}));
    assert_eq!(events(&list(&bob, "").await), [mention.as_str().unwrap()]);
    for wrong in ["?limit=many", "?limit=0", "?from=nowhere", "?from=-1", "?only=x"] {
        let answer = bob.get(&format!("{V3}/notifications{wrong}")).await;
        assert_eq!(
            (answer.status, answer.errcode()),
            (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"),
            "{wrong}"
        );
    }
}
