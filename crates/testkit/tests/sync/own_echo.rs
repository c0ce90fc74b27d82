//! A device is told of its own event by sync after its sending was answered, and nobody else waits for that.

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, Response};
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::json;
use tokio::time::timeout;

const V3: &str = "/_matrix/client/v3";
/// A filter that leaves out presence, which wakes as well.
const NO_PRESENCE: &str = "%7B%22presence%22:%7B%22not_types%22:%5B%22*%22%5D%7D%7D";
const LIVE: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

/// Whether it has come to its end, after everything else has gone on as far as it can.
async fn is_done<F: Future>(mut work: Pin<&mut F>) -> Option<F::Output> {
    for _ in 0..200 {
        tokio::task::yield_now().await;
        if let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
    }
    None
}

/// Sends a message whose answer is not taken yet.
async fn send(server: &TestServer, client: &Client<'_>, room: &str, path: &str) -> Response<Body> {
    let request = Request::put(format!("{V3}/rooms/{room}/{path}"))
        .header("authorization", format!("Bearer {}", client.token.as_deref().unwrap()))
        .body(json!({ "msgtype": "m.text", "body": "hello" }).to_string().into());
    server.request(request.unwrap()).await
}

async fn shows(client: &Client<'_>, room: &str, since: &str) -> (Answer, bool) {
    let answer = client.get(&format!("{V3}/sync?timeout=30000&filter={NO_PRESENCE}&since={since}")).await;
    let shown = answer.body["rooms"]["join"][room]["timeline"]["events"]
        .as_array()
        .is_some_and(|all| !all.is_empty());
    (answer, shown)
}

async fn since(client: &Client<'_>) -> String {
    client.get(&format!("{V3}/sync")).await.ok()["next_batch"].as_str().unwrap().to_owned()
}

async fn tablet<'s>(server: &'s TestServer, user: &Client<'s>) -> Client<'s> {
    let body = json!({
        "type": "m.login.password", "password": "correct horse",
        "identifier": { "type": "m.id.user", "user": user.user_id },
    });
    let session = user.post(&format!("{V3}/login"), body).await.ok();
    let mut other = server.anonymous();
    other.token = Some(session["access_token"].as_str().unwrap().to_owned());
    other
}

#[tokio::test]
async fn a_device_hears_of_its_own_event_after_the_answer_to_its_sending() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let tablet = tablet(&server, &alice).await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    let (bobs, other, mine) = (since(&bob).await, since(&tablet).await, since(&alice).await);
    let list =
        json!({ "lists": { "all": { "ranges": [[0, 9]], "timeline_limit": 1, "required_state": [] } } });
    let pos = alice.post(LIVE, list.clone()).await.ok()["pos"].as_str().unwrap().to_owned();
    let path = format!("{LIVE}?timeout=30000&pos={pos}");

    let mut classic = pin!(shows(&alice, &room, &mine));
    let mut sliding = pin!(alice.post(&path, list));
    assert!(is_done(classic.as_mut()).await.is_none() && is_done(sliding.as_mut()).await.is_none());
    let sent = send(&server, &alice, &room, "send/m.room.message/a").await;
    assert!(shows(&tablet, &room, &other).await.1, "her other device waits for nothing");
    assert!(shows(&bob, &room, &bobs).await.1, "nor does anybody else");
    assert!(is_done(classic.as_mut()).await.is_none() && is_done(sliding.as_mut()).await.is_none());
    // A request that comes meanwhile is held back too.
    let mut late = pin!(shows(&alice, &room, &mine));
    assert!(is_done(late.as_mut()).await.is_none());

    to_bytes(sent.into_body(), 1 << 20).await.unwrap();
    assert!(is_done(classic.as_mut()).await.is_some_and(|(_, shown)| shown));
    assert!(is_done(late.as_mut()).await.is_some_and(|(_, shown)| shown));
    let slid = is_done(sliding.as_mut()).await.unwrap().ok();
    assert_eq!(slid["rooms"][&room]["timeline"][0]["content"]["body"], "hello");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_takes_holds_a_sync_back_for_a_moment_only() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let since = since(&alice).await;
    let sent = send(&server, &alice, &room, "send/m.room.message/a").await;
    let mut first = pin!(shows(&alice, &room, &since));
    assert!(timeout(Duration::from_millis(199), first.as_mut()).await.is_err());
    assert!(timeout(Duration::from_millis(2), first).await.is_ok_and(|(_, shown)| shown));
    let second = timeout(Duration::from_millis(1), shows(&alice, &room, &since)).await;
    assert!(second.is_ok_and(|(_, shown)| shown), "it holds back no second one");
    drop(sent);
}
