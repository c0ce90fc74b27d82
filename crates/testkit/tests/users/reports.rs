//! What users report, and what administrators see of it
//! (<https://spec.matrix.org/v1.19/client-server-api/#reporting-content>).

use http::StatusCode;
use myelin_model::{Fence, Shard};
use myelin_server::admin::{Command, Reply, ReportAction};
use myelin_server::config::{Config, Registration};
use myelin_store::Batch;
use myelin_store::schema::users::Report;
use myelin_testkit::TestServer;
use ruma::user_id;
use serde_json::{Value, json};

/// How many reports wait at once.
const MOST_WAITING: usize = 10_000;

async fn order(server: &TestServer, action: ReportAction) -> Result<Value, String> {
    match server.operate(Command::Report { action }).await {
        Reply::Done(value) => Ok(value),
        Reply::Failed(problem) => Err(problem),
    }
}

async fn listed(server: &TestServer) -> Vec<Value> {
    let list = order(server, ReportAction::List { after: None, limit: 1_000 }).await;
    list.ok().and_then(|list| list.as_array().cloned()).unwrap_or_default()
}

#[tokio::test]
async fn an_operator_sees_what_was_reported_even_if_it_is_redacted_and_dismisses_it() {
    let server = TestServer::new(81).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({"preset": "public_chat"})).await;
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({})).await.done();
    let event = alice.say(&room, "1", "something bad").await;
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/report/{event}"), json!({"reason": "rude"}))
        .await
        .done();
    alice.put(&format!("/_matrix/client/v3/rooms/{room}/redact/{event}/2"), json!({})).await.done();
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/report"), json!({"reason": ""})).await.done();
    bob.post("/_matrix/client/v3/users/@alice:hs/report", json!({"reason": "rude too"})).await.done();

    let server = server.restart().await;
    let reports = listed(&server).await;
    assert_eq!(reports.len(), 3);
    assert_eq!((&reports[0]["event_id"], &reports[0]["reason"]), (&json!(event), &json!("rude")));
    assert_eq!((&reports[1]["room_id"], &reports[1]["reason"]), (&json!(room), &Value::Null));
    assert_eq!((&reports[2]["user_id"], &reports[2]["reporter"]), (&json!("@alice:hs"), &json!("@bob:hs")));
    let number = reports[0]["report"].as_i64().unwrap_or_default();
    let shown = order(&server, ReportAction::Show { report: number }).await;
    assert_eq!(shown.map(|shown| shown["event"]["content"]["body"].clone()), Ok(json!("something bad")));
    let second = order(&server, ReportAction::List { after: Some(number), limit: 1 }).await;
    assert_eq!(second, Ok(json!([reports[1]])));

    assert_eq!(order(&server, ReportAction::Dismiss { report: number }).await, Ok(Value::Null));
    assert!(order(&server, ReportAction::Dismiss { report: number }).await.is_err(), "it is gone");
    assert!(order(&server, ReportAction::Show { report: number }).await.is_err());
    assert_eq!(listed(&server).await.len(), 2);
}

#[tokio::test]
async fn a_report_reveals_neither_rooms_nor_users_nor_events() {
    let server = TestServer::new(82).await;
    let (alice, eve) = (server.register("alice").await, server.register("eve").await);
    let room = alice.create_room(json!({})).await;
    let event = alice.say(&room, "1", "secret").await;
    let why = json!({"reason": "curious"});
    for path in [
        format!("rooms/{room}/report"),
        "rooms/!nowhere:hs/report".to_owned(),
        "users/@alice:hs/report".to_owned(),
        "users/@nobody:hs/report".to_owned(),
        "users/@nobody:elsewhere/report".to_owned(),
    ] {
        assert_eq!(
            eve.post(&format!("/_matrix/client/v3/{path}"), why.clone()).await.ok(),
            json!({}),
            "{path}"
        );
    }
    let mut refused = Vec::new();
    for path in [
        format!("rooms/{room}/report/{event}"),
        format!("rooms/{room}/report/$nothing"),
        format!("rooms/!nowhere:hs/report/{event}"),
    ] {
        let answer = eve.post(&format!("/_matrix/client/v3/{path}"), why.clone()).await;
        assert_eq!((answer.status, answer.errcode()), (StatusCode::NOT_FOUND, "M_NOT_FOUND"), "{path}");
        refused.push(answer.body);
    }
    assert!(refused.iter().all(|body| *body == refused[0]), "{refused:?}");
    assert_eq!(listed(&server).await.len(), 5, "what was refused is not kept");
    alice.post(&format!("/_matrix/client/v3/rooms/{room}/leave"), json!({})).await.done();
    let left = alice.post(&format!("/_matrix/client/v3/rooms/{room}/report/{event}"), why).await;
    assert_eq!(left.errcode(), "M_NOT_FOUND", "events are reported from within the room");
}

#[tokio::test]
async fn reports_are_bounded_in_size_number_and_pace() {
    let server = TestServer::new(83).await;
    let alice = server.register("alice").await;
    let path = "/_matrix/client/v3/users/@bob:hs/report";
    let long = alice.post(path, json!({"reason": "x".repeat(4_097)})).await;
    assert_eq!(long.errcode(), "M_INVALID_PARAM");
    for _ in 0..100 {
        alice.post(path, json!({"reason": "again"})).await.done();
    }
    let last = alice.post(path, json!({"reason": "again"})).await;
    assert_eq!((last.status, last.errcode()), (StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED"));
    assert_eq!(listed(&server).await.len(), 100);

    let config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    let limited = TestServer::with(84, config).await;
    let alice = limited.register("alice").await;
    let mut taken = 0;
    while taken < 100 && alice.post(path, json!({"reason": "again"})).await.status.is_success() {
        taken += 1;
    }
    assert_eq!(taken, 10, "a person does not report faster");
}

#[tokio::test]
async fn all_users_together_fill_an_administrator_s_disk_no_further_than_so_far() {
    let server = TestServer::new(84).await;
    let alice = server.register("alice").await;
    let shard = Shard::of("reports");
    let mut left = MOST_WAITING - 1;
    while left > 0 {
        let mut batch = Batch::new(Fence { shard, epoch: server.engine.epoch(shard) });
        for _ in 0..left.min(1_000) {
            let (reporter, user_id) = (user_id!("@crowd:hs").to_owned(), Some(user_id!("@x:hs").to_owned()));
            let pos = batch.next_pos();
            let (room_id, event_id, event, reason) = (None, None, None, None);
            batch.put(&Report { pos, at: 0, reporter, room_id, event_id, user_id, event, reason });
        }
        left = left.saturating_sub(1_000);
        server.engine.commit(batch).await.unwrap();
    }
    let path = "/_matrix/client/v3/users/@x:hs/report";
    alice.post(path, json!({"reason": "the last"})).await.done();
    let refused = alice.post(path, json!({"reason": "one more"})).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED"));
    let first = listed(&server).await[0]["report"].as_i64().unwrap();
    assert_eq!(order(&server, ReportAction::Dismiss { report: first }).await, Ok(Value::Null));
    alice.post(path, json!({"reason": "room for one"})).await.done();
}
