//! Filters by what events relate to (MSC3874).
#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

async fn relate(user: &Client<'_>, room: &str, body: &str, rel_type: &str, target: &str) -> String {
    let relates = json!({ "rel_type": rel_type, "event_id": target });
    let content = json!({ "msgtype": "m.text", "body": body, "m.relates_to": relates });
    let sent = user.put(&format!("{V3}/rooms/{room}/send/m.room.message/{body}"), content).await.ok();
    sent["event_id"].as_str().unwrap().to_owned()
}

fn encoded(filter: &Value) -> String {
    let byte = |byte: u8| format!("%{byte:02X}");
    filter.to_string().bytes().map(byte).collect()
}

fn bodies(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().filter_map(|event| event["content"]["body"].as_str()).collect()
}

#[tokio::test]
async fn pages_and_syncs_have_the_relations_that_a_filter_asks_for() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    let root = alice.say(&room, "root", "root").await;
    let thread = relate(&alice, &room, "thread", "m.thread", &root).await;
    relate(&alice, &room, "reference", "m.reference", &root).await;
    let gone = relate(&alice, &room, "gone", "m.thread", &root).await;
    alice.put(&format!("{V3}/rooms/{room}/redact/{gone}/1"), json!({})).await.done();
    for (filter, expected) in [
        (json!({ "rel_types": ["m.thread"] }), vec!["thread"]),
        (json!({ "org.matrix.msc3874.rel_types": ["m.reference"] }), vec!["reference"]),
        (json!({ "rel_types": ["m.thread", "m.reference"] }), vec!["thread", "reference"]),
        (json!({ "org.matrix.msc3874.not_rel_types": ["m.thread"] }), vec!["root", "reference"]),
        (json!({ "not_rel_types": ["m.thread", "m.reference"], "limit": 50 }), vec!["root"]),
        (json!({ "rel_types": ["m.thread"], "not_rel_types": ["m.thread"] }), vec![]),
        (json!({ "rel_types": [] }), vec![]),
        (json!({}), vec!["root", "thread", "reference"]),
    ] {
        let query = encoded(&filter);
        let page = alice.get(&format!("{V3}/rooms/{room}/messages?dir=f&limit=50&filter={query}")).await.ok();
        assert_eq!(bodies(&page["chunk"]), expected, "{filter}");
        let path = format!("{V3}/rooms/{room}/context/{thread}?limit=50&filter={query}");
        let context = alice.get(&path).await.ok();
        let before: Vec<&str> = expected.iter().copied().filter(|body| *body == "root").collect();
        assert_eq!(bodies(&context["events_before"]), before, "{filter}");
        let mut timeline = filter.clone();
        timeline["limit"] = json!(50);
        let query = encoded(&json!({ "room": { "timeline": timeline } }));
        let synced = alice.get(&format!("{V3}/sync?timeout=0&filter={query}")).await.ok();
        let shown = &synced["rooms"]["join"][&room]["timeline"]["events"];
        let shown = shown.as_array().map_or_else(|| json!([]), |events| json!(events));
        assert_eq!(bodies(&shown), expected, "{filter}");
    }
    let odd = encoded(&json!({ "rel_types": "m.thread" }));
    for path in [format!("messages?dir=f&filter={odd}"), format!("context/{thread}?filter={odd}")] {
        let refused = alice.get(&format!("{V3}/rooms/{room}/{path}")).await;
        let said = (refused.status, refused.errcode());
        assert_eq!(said, (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"), "{path}: {}", refused.body);
    }
}
