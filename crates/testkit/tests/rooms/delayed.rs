//! Delayed events (MSC4140) over HTTP, in every form that clients speak.

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use std::time::Duration;

use http::StatusCode;
use myelin_runtime::Clock as _;
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const V1: &str = "/_matrix/client/v1";
const OLD: &str = "/_matrix/client/unstable/org.matrix.msc4140";

fn refused(answer: &Answer, status: StatusCode, errcode: &str) {
    assert_eq!((answer.status, answer.errcode()), (status, errcode), "{}", answer.body);
}

fn id(answer: &Value) -> String {
    answer["delay_id"].as_str().unwrap().to_owned()
}

/// Schedules a state event by the parameter that older clients use.
async fn delay(client: &Client<'_>, room: &str, key: &str, delay: i64) -> Answer {
    let path = format!("{V3}/rooms/{room}/state/org.example.call/{key}?org.matrix.msc4140.delay={delay}");
    client.put(&path, json!({ "left": key })).await
}

async fn pending(client: &Client<'_>) -> Vec<String> {
    let list = client.get(&format!("{OLD}/delayed_events")).await.ok();
    list["delayed_events"].as_array().unwrap().iter().map(id).collect()
}

/// Waits until nothing is pending: the list tells the worker to look.
async fn settled(client: &Client<'_>) {
    let wait = async {
        while !pending(client).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("what is due is sent");
}

#[tokio::test]
async fn what_is_due_is_sent_in_order_after_a_restart_too() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let send = format!("{V3}/rooms/{room}/send/m.room.message");
    let body = |n: i32| json!({ "msgtype": "m.text", "body": n.to_string() });
    for (n, delay) in [(2, 900), (1, 700), (3, 1_000)] {
        let path = format!("{send}/t{n}?org.matrix.msc4140.delay={delay}");
        let first = alice.put(&path, body(n)).await.ok();
        assert_eq!(alice.put(&path, body(n)).await.ok(), first, "the same request schedules nothing more");
    }
    assert_eq!(pending(&alice).await.len(), 3);
    server.clock.advance(Duration::from_millis(650));
    assert_eq!(pending(&alice).await.len(), 3);
    let (token, user_id) = (alice.token.clone(), alice.user_id.clone());
    drop(alice);
    let server = server.restart().await;
    let mut alice = server.anonymous();
    (alice.token, alice.user_id) = (token, user_id);
    server.clock.advance(Duration::from_secs(10));
    settled(&alice).await;
    let page = alice.get(&format!("{V3}/rooms/{room}/messages?dir=b&limit=3")).await.ok();
    let bodies: Vec<&str> =
        page["chunk"].as_array().unwrap().iter().map(|e| e["content"]["body"].as_str().unwrap()).collect();
    assert_eq!(bodies, ["3", "2", "1"]);
    let unsigned = &page["chunk"][0]["unsigned"];
    assert!(unsigned["org.matrix.msc4140.delay_id"].is_string() && unsigned["transaction_id"].is_null());
    let list = alice.get(&format!("{OLD}/delayed_events")).await.ok();
    let done = list["finalised_events"].as_array().unwrap();
    assert_eq!(done.len(), 3);
    assert!(done.iter().any(|done| done["finalised"]["event_id"] == page["chunk"][0]["event_id"]));
    server.clock.advance(Duration::from_secs(25 * 3_600));
    let gone = async {
        while alice.get(&format!("{OLD}/delayed_events")).await.ok()["finalised_events"] != json!([]) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("what is done with is forgotten");
}

#[tokio::test]
async fn a_delay_is_restarted_cancelled_and_cut_short_in_every_form() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({})).await;
    let state = async |key: &str| alice.get(&format!("{V3}/rooms/{room}/state/org.example.call/{key}")).await;
    // Restarted by somebody without a token, as services that watch over calls do.
    let restarted = id(&delay(&alice, &room, "restarted", 5_000).await.ok());
    for _ in 0..3 {
        server.clock.advance(Duration::from_secs(4));
        server.anonymous().post(&format!("{OLD}/delayed_events/{restarted}/restart"), json!({})).await.done();
    }
    assert_eq!(pending(&alice).await, std::slice::from_ref(&restarted));
    refused(&state("restarted").await, StatusCode::NOT_FOUND, "M_NOT_FOUND");
    server.clock.advance(Duration::from_secs(6));
    settled(&alice).await;
    assert_eq!(state("restarted").await.ok(), json!({ "left": "restarted" }));
    let again = alice.post(&format!("{OLD}/delayed_events/{restarted}/restart"), json!({})).await;
    refused(&again, StatusCode::CONFLICT, "M_UNKNOWN");
    // Cancelled by the body of the oldest form.
    let cancelled = id(&delay(&alice, &room, "cancelled", 5_000).await.ok());
    let path = format!("{OLD}/delayed_events/{cancelled}");
    refused(&alice.post(&path, json!({})).await, StatusCode::BAD_REQUEST, "M_MISSING_PARAM");
    refused(&alice.post(&path, json!({ "action": "x" })).await, StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
    for _ in 0..2 {
        alice.post(&path, json!({ "action": "cancel" })).await.done();
    }
    // Sent at once in the accepted form, by its owner only.
    let scheduled = json!({ "delay_ms": 60_000, "state_key": "sent", "content": { "left": "sent" } });
    let path = format!("{V3}/rooms/{room}/delayed_event/org.example.call/txn");
    let sent = id(&alice.put(&path, scheduled).await.ok());
    let path = format!("{V1}/delayed_events/{sent}");
    refused(&bob.post(&format!("{path}/send"), json!({})).await, StatusCode::NOT_FOUND, "M_NOT_FOUND");
    refused(&bob.get(&path).await, StatusCode::NOT_FOUND, "M_NOT_FOUND");
    assert_eq!(alice.get(&path).await.ok()["delay_ms"], 60_000);
    alice.post(&format!("{path}/send"), json!({})).await.done();
    assert_eq!(state("sent").await.ok(), json!({ "left": "sent" }));
    assert_eq!(alice.get(&path).await.ok()["finalised"]["outcome"], "sent");
    refused(&alice.post(&format!("{path}/cancel"), json!({})).await, StatusCode::CONFLICT, "M_UNKNOWN");
    refused(&state("cancelled").await, StatusCode::NOT_FOUND, "M_NOT_FOUND");
}

#[tokio::test]
async fn limits_are_told_and_power_is_judged_when_the_time_has_come() {
    let server = TestServer::new(3).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let long = delay(&alice, &room, "a", 1_000_000_000).await;
    refused(&long, StatusCode::BAD_REQUEST, "M_UNKNOWN");
    assert_eq!(long.body["org.matrix.msc4140.errcode"], "M_MAX_DELAY_EXCEEDED");
    let path = format!("{V3}/rooms/{room}/delayed_event/org.example.call/txn");
    let long = alice.put(&path, json!({ "delay_ms": 1_000_000_000, "content": {} })).await;
    refused(&long, StatusCode::FORBIDDEN, "M_FORBIDDEN");
    let text = format!("{V3}/rooms/{room}/state/org.example.call/b?org.matrix.msc4140.delay=soon");
    refused(&alice.put(&text, json!({})).await, StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
    for n in 0..100 {
        delay(&alice, &room, &n.to_string(), 60_000).await.done();
    }
    let more = alice.put(&path, json!({ "delay_ms": 60_000, "content": {} })).await;
    refused(&more, StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED");
    // Bob is not even in the room; that is found out when it is to be sent.
    let powerless = id(&delay(&bob, &room, "bob", 1_000).await.ok());
    server.clock.advance(Duration::from_secs(2));
    settled(&bob).await;
    let outcome = bob.get(&format!("{V1}/delayed_events/{powerless}")).await.ok()["finalised"].take();
    assert_eq!((&outcome["outcome"], outcome["error"].is_string()), (&json!("failed"), true));
}

/// A token and whose it is.
type Session = (Option<String>, String);

/// The client's session on the server after it was started again.
fn again<'s>(server: &'s TestServer, (token, user_id): &Session) -> Client<'s> {
    let mut client = server.anonymous();
    (client.token, client.user_id) = (token.clone(), user_id.clone());
    client
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Events of two minutes: one restarted 10 s, 20 s and 30 s later, one never; the server ends 75 s after they were
/// scheduled, and is back at once.
async fn restarted_and_ended(
    seed: u64,
    end: impl AsyncFnOnce(TestServer) -> TestServer,
) -> (TestServer, Session, String) {
    let server = TestServer::new(seed).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let restarted = id(&delay(&alice, &room, "restarted", 120_000).await.ok());
    delay(&alice, &room, "left", 120_000).await.done();
    for _ in 0..3 {
        server.clock.advance(seconds(10));
        alice.post(&format!("{OLD}/delayed_events/{restarted}/restart"), json!({})).await.done();
    }
    let shown = alice.get(&format!("{V1}/delayed_events/{restarted}")).await.ok();
    let list = alice.get(&format!("{OLD}/delayed_events")).await.ok();
    assert_eq!(shown["delayed_since_ts"], json!(server.clock.now()));
    assert_eq!(list["delayed_events"][1], shown);
    server.clock.advance(seconds(45));
    let session = (alice.token.clone(), alice.user_id.clone());
    drop(alice);
    (end(server).await, session, room)
}

/// After how many more seconds, in steps of five, an event is sent.
async fn sent_after(server: &TestServer, client: &Client<'_>, room: &str, key: &str) -> u64 {
    let path = format!("{V3}/rooms/{room}/state/org.example.call/{key}");
    for step in 0..60 {
        // The worker looks whenever the list is read, and has looked when what was sent is no longer pending.
        for _ in 0..50 {
            pending(client).await;
            tokio::task::yield_now().await;
        }
        if client.get(&path).await.status == StatusCode::OK {
            return step * 5;
        }
        server.clock.advance(seconds(5));
    }
    panic!("{key} is never sent")
}

#[tokio::test]
async fn a_restart_that_was_answered_counts_after_a_crash() {
    let (server, session, room) = restarted_and_ended(4, TestServer::crash).await;
    let alice = again(&server, &session);
    assert_eq!(sent_after(&server, &alice, &room, "left").await, 45, "never restarted, never put off");
    let more = sent_after(&server, &alice, &room, "restarted").await;
    // 75 s after the crash at the earliest, and at most 30 s later.
    assert!((30..=60).contains(&more), "{more}");
}

#[tokio::test]
async fn a_server_that_stops_writes_the_restarts_that_it_answered() {
    let (server, session, room) = restarted_and_ended(5, TestServer::restart).await;
    let alice = again(&server, &session);
    assert_eq!(sent_after(&server, &alice, &room, "left").await, 45);
    // Had only the first restart been written, it would be 20 s earlier.
    assert_eq!(sent_after(&server, &alice, &room, "restarted").await, 60);
}

#[tokio::test]
async fn a_call_outlives_a_server_that_was_away_if_its_callers_come_back_soon() {
    let (server, session, room) = restarted_and_ended(6, async |server: TestServer| {
        server.clock.advance(seconds(10 * 60));
        server.crash().await
    })
    .await;
    let alice = again(&server, &session);
    assert_eq!(sent_after(&server, &alice, &room, "left").await, 0, "overdue");
    server.clock.advance(seconds(25));
    let waiting = pending(&alice).await;
    alice.post(&format!("{OLD}/delayed_events/{}/restart", waiting[0]), json!({})).await.done();
    assert_eq!(sent_after(&server, &alice, &room, "restarted").await, 120);
}

#[tokio::test]
async fn of_a_restart_and_an_end_at_the_same_time_one_wins() {
    let server = TestServer::new(7).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    for n in 0..20 {
        let one = id(&delay(&alice, &room, &n.to_string(), 60_000).await.ok());
        let path = format!("{OLD}/delayed_events/{one}");
        let restart = async || alice.post(&format!("{path}/restart"), json!({})).await;
        restart().await.done();
        let end = if n % 2 == 0 { "cancel" } else { "send" };
        let end = async || alice.post(&format!("{path}/{end}"), json!({})).await;
        let (ended, _) = tokio::join!(end(), restart());
        ended.done();
        refused(&restart().await, StatusCode::CONFLICT, "M_UNKNOWN");
    }
    assert!(pending(&alice).await.is_empty());
}
