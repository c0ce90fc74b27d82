//! Sticky events (MSC4354) over HTTP: sent, delayed, told, refused and over.

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use std::time::Duration;

use http::StatusCode;
use myelin_server::admin::{Command, Reply, RetentionAction};
use myelin_store::schema::sticky::StickyEvent;
use myelin_store::{Reader, Scan};
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const OLD: &str = "/_matrix/client/unstable/org.matrix.msc4140";
const PARAMETER: &str = "org.matrix.msc4354.sticky_duration_ms";
const SLIDING: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
/// The most sticky events of a user in a room.
const MOST: usize = 256;

fn message(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

fn id(answer: &Value) -> String {
    answer["event_id"].as_str().unwrap().to_owned()
}

/// Sends a sticky message; its transaction id is its body.
async fn stick(client: &Client<'_>, room: &str, body: &str, duration: i64) -> String {
    let path = format!("{V3}/rooms/{room}/send/m.room.message/{body}?{PARAMETER}={duration}");
    id(&client.put(&path, message(body)).await.ok())
}

/// Pushes whatever there is out of the timeline of a first sync.
async fn chatter(client: &Client<'_>, room: &str, name: &str) {
    for n in 0..11 {
        client.say(room, &format!("{name}{n}"), "chatter").await;
    }
}

/// The ids in the sticky section of a first sync.
async fn section(client: &Client<'_>, room: &str) -> Vec<String> {
    let answer = client.get(&format!("{V3}/sync")).await.ok();
    let events = &answer["rooms"]["join"][room]["msc4354_sticky"]["events"];
    events.as_array().map(|events| events.iter().map(id).collect()).unwrap_or_default()
}

async fn rows(server: &TestServer) -> usize {
    let snapshot = server.engine.snapshot().await.unwrap();
    snapshot.scan::<StickyEvent>(Scan::prefix::<StickyEvent>((), 1_000)).await.unwrap().len()
}

#[tokio::test]
async fn an_event_sent_sticky_says_so_in_every_form_until_its_time_is_over() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let versions = alice.get("/_matrix/client/versions").await.ok();
    assert_eq!(versions["unstable_features"]["org.matrix.msc4354"], true);
    let send = format!("{V3}/rooms/{room}/send/m.room.message");
    let state = format!("{V3}/rooms/{room}/state/org.example.call");
    let sent = [
        alice.put(&format!("{send}/a?{PARAMETER}=60000"), message("a")).await.ok(),
        alice.put(&format!("{send}/b?ts=1&sticky_duration_ms=60000"), message("b")).await.ok(),
        alice.post(&format!("{send}?{PARAMETER}=60000"), message("c")).await.ok(),
        alice.put(&format!("{state}/key?{PARAMETER}=60000"), json!({ "call": 1 })).await.ok(),
        alice.put(&format!("{state}?{PARAMETER}=60000"), json!({ "call": 1 })).await.ok(),
    ];
    let event = async |sent: &Value| alice.get(&format!("{V3}/rooms/{room}/event/{}", id(sent))).await.ok();
    server.clock.advance(Duration::from_millis(59_000));
    for sent in &sent {
        let event = event(sent).await;
        assert_eq!(event["msc4354_sticky"], json!({ "duration_ms": 60_000 }), "{event}");
        assert_eq!(event["unsigned"]["msc4354_sticky_duration_ttl_ms"], 1_000);
        assert_eq!(event["content"].get("msc4354_sticky"), None);
    }
    let again = alice.put(&format!("{send}/a?{PARAMETER}=60000"), message("a")).await.ok();
    assert_eq!(again, sent[0], "the same request sends nothing more");
    let again = alice.put(&format!("{state}/key?{PARAMETER}=60000"), json!({ "call": 1 })).await.ok();
    assert_ne!(again, sent[3], "the same state is sticky from now on");
    server.clock.advance(Duration::from_millis(1_000));
    for sent in &sent {
        let event = event(sent).await;
        assert_eq!(event["msc4354_sticky"], json!({ "duration_ms": 60_000 }), "what it is stays in it");
        assert_eq!(event["unsigned"].get("msc4354_sticky_duration_ttl_ms"), None);
    }
    for bad in ["3600001", "-1", "x", ""] {
        for path in [format!("{send}/bad"), format!("{state}/bad")] {
            let refused = alice.put(&format!("{path}?{PARAMETER}={bad}"), message("bad")).await;
            assert_eq!((refused.status, refused.errcode()), (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
        }
    }
}

#[tokio::test]
async fn who_joins_or_starts_anew_is_told_what_is_sticky_after_a_restart_too() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let visibility = json!([{
        "type": "m.room.history_visibility", "content": { "history_visibility": "joined" },
    }]);
    let room = alice.create_room(json!({ "preset": "public_chat", "initial_state": visibility })).await;
    let sticky = stick(&alice, &room, "sticky", 600_000).await;
    let brief = stick(&alice, &room, "brief", 1_000).await;
    chatter(&alice, &room, "c").await;
    assert_eq!(section(&bob, &room).await, [""; 0]);
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    assert_eq!(section(&bob, &room).await, [sticky.clone(), brief.clone()]);
    let hidden = bob.get(&format!("{V3}/rooms/{room}/event/{sticky}")).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND, "elsewhere the history visibility counts");
    let (token, user_id) = (bob.token.clone(), bob.user_id.clone());
    drop((alice, bob));
    let server = server.restart().await;
    let mut bob = server.anonymous();
    (bob.token, bob.user_id) = (token, user_id);
    server.clock.advance(Duration::from_millis(999));
    assert_eq!(section(&bob, &room).await, [sticky.clone(), brief]);
    server.clock.advance(Duration::from_millis(1));
    assert_eq!(section(&bob, &room).await, std::slice::from_ref(&sticky));
    // Over sliding sync, page by page.
    let body = |since: Option<&str>| {
        json!({
            "lists": { "all": { "ranges": [[0, 9]], "timeline_limit": 1, "required_state": [] } },
            "extensions": { "org.matrix.msc4354.sticky_events": { "enabled": true, "limit": 1, "since": since } },
        })
    };
    let answer = bob.post(SLIDING, body(None)).await.ok();
    let told = &answer["extensions"]["org.matrix.msc4354.sticky_events"];
    assert_eq!(id(&told["rooms"][&room]["events"][0]), sticky);
    let (pos, since) = (answer["pos"].as_str().unwrap(), told["next_batch"].as_str());
    let answer = bob.post(&format!("{SLIDING}?pos={pos}"), body(since)).await.ok();
    assert_eq!(answer["extensions"], json!({}));
    let refused = bob.post(SLIDING, body(Some("d1_1"))).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
    bob.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.done();
    let answer = bob.post(SLIDING, body(None)).await.ok();
    assert!(!answer.to_string().contains(&sticky));
    let filter = "%7B%22room%22%3A%7B%22include_leave%22%3Atrue%7D%7D";
    let answer = bob.get(&format!("{V3}/sync?filter={filter}")).await.ok();
    assert!(!answer.to_string().contains(&sticky));
}

#[tokio::test]
async fn a_delayed_event_is_sticky_from_when_it_is_sent() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let query = format!("org.matrix.msc4140.delay=5000&{PARAMETER}=60000");
    let body = json!({ "delay_ms": 5_000, "content": { "n": 3 } });
    let scheduled = [
        alice.put(&format!("{V3}/rooms/{room}/send/org.example/t?{query}"), json!({ "n": 1 })).await.ok(),
        alice.put(&format!("{V3}/rooms/{room}/state/org.example/k?{query}"), json!({ "n": 2 })).await.ok(),
        alice
            .put(&format!("{V3}/rooms/{room}/delayed_event/org.example/u?{PARAMETER}=60000"), body)
            .await
            .ok(),
    ];
    let refused = alice.put(&format!("{V3}/rooms/{room}/send/org.example/v?{query}99"), json!({})).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
    assert_eq!(rows(&server).await, 0);
    server.clock.advance(Duration::from_secs(4));
    for delayed in &scheduled {
        let path = format!("{OLD}/delayed_events/{}/send", delayed["delay_id"].as_str().unwrap());
        alice.post(&path, json!({})).await.done();
    }
    chatter(&alice, &room, "c").await;
    let answer = alice.get(&format!("{V3}/sync")).await.ok();
    let events = answer["rooms"]["join"][&room]["msc4354_sticky"]["events"].as_array().unwrap().clone();
    let numbers: Vec<i64> = events.iter().map(|event| event["content"]["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(events.iter().all(|event| event["unsigned"]["msc4354_sticky_duration_ttl_ms"] == 60_000));
    assert_eq!(events[1]["state_key"], "k");
}

#[tokio::test]
async fn what_is_redacted_is_sticky_no_more() {
    let server = TestServer::new(4).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    let redacted = stick(&alice, &room, "redacted", 60_000).await;
    let kept = stick(&alice, &room, "kept", 60_000).await;
    stick(&bob, &room, "banned", 60_000).await;
    chatter(&alice, &room, "c").await;
    assert_eq!(section(&alice, &room).await.len(), 3);
    let path = format!("{V3}/rooms/{room}/redact/{redacted}/t");
    alice.put(&path, json!({})).await.done();
    let ban = json!({ "user_id": bob.user_id, "redact_events": true });
    alice.post(&format!("{V3}/rooms/{room}/ban"), ban).await.done();
    assert_eq!(section(&alice, &room).await, [kept]);
    assert_eq!(rows(&server).await, 1);
    let event = alice.get(&format!("{V3}/rooms/{room}/event/{redacted}")).await.ok();
    assert_eq!(event.get("msc4354_sticky"), None, "a redacted sticky event is like any other");
    assert_eq!(event["unsigned"].get("msc4354_sticky_duration_ttl_ms"), None);
}

#[tokio::test]
async fn what_the_room_keeps_no_longer_is_not_told() {
    let server = TestServer::new(6).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let keep = json!({ "max_lifetime": 60_000 });
    alice.put(&format!("{V3}/rooms/{room}/state/m.room.retention"), keep).await.done();
    let sticky = stick(&alice, &room, "sticky", 600_000).await;
    server.clock.advance(Duration::from_secs(50));
    chatter(&alice, &room, "c").await;
    assert_eq!(section(&alice, &room).await, [sticky]);
    server.clock.advance(Duration::from_secs(11));
    assert_eq!(section(&alice, &room).await, [""; 0]);
    let command = Command::Retention { action: RetentionAction::Run };
    assert!(matches!(server.operate(command).await, Reply::Done(_)));
    assert_eq!(rows(&server).await, 0);
}

#[tokio::test]
async fn a_user_who_floods_a_room_is_stopped_and_nobody_else() {
    let server = TestServer::new(5).await;
    let (mallory, alice) = (server.register("mallory").await, server.register("alice").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let other = mallory.create_room(json!({})).await;
    mallory.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    let flood = |n: usize| format!("{V3}/rooms/{room}/send/m.room.message/{n}?{PARAMETER}=60000");
    for n in 0..MOST {
        mallory.put(&flood(n), message("flood")).await.done();
    }
    server.clock.advance(Duration::from_secs(20));
    for n in MOST..MOST + 20 {
        let refused = mallory.put(&flood(n), message("flood")).await;
        assert_eq!((refused.status, refused.errcode()), (StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED"));
        assert_eq!(refused.body["retry_after_ms"], 40_000);
    }
    assert_eq!(rows(&server).await, MOST);
    mallory.say(&room, "plain", "this is like any other").await;
    stick(&mallory, &other, "elsewhere", 60_000).await;
    let mine = stick(&alice, &room, "mine", 600_000).await;
    // What was repeated is answered as before, flooded or not.
    mallory.put(&flood(0), message("flood")).await.done();
    let parts = async {
        let mut since = String::new();
        let mut sizes = Vec::new();
        for _ in 0..4 {
            let answer = alice.get(&format!("{V3}/sync{since}")).await.ok();
            since = format!("?since={}", answer["next_batch"].as_str().unwrap());
            let events = &answer["rooms"]["join"][&room]["msc4354_sticky"]["events"];
            sizes.push(events.as_array().map_or(0, Vec::len));
        }
        sizes
    };
    let sizes = parts.await;
    assert!(sizes.iter().all(|size| *size <= 100), "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() >= MOST - 10 && sizes[3] == 0, "{sizes:?}");
    server.clock.advance(Duration::from_secs(40));
    mallory.put(&flood(MOST), message("again")).await.done();
    chatter(&alice, &room, "c").await;
    let section = section(&alice, &room).await;
    assert_eq!(section.len(), 2);
    assert_eq!(section[0], mine);
}
