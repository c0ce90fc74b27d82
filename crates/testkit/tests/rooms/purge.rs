//! Deleting a room's history, and whole rooms.
#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_model::RoomNid;
use myelin_server::admin::{Command, Reply, RoomAction};
use myelin_store::schema::rooms::{
    Event, EventContent, Member, Relation, RoomById, State, StateVersion, Thread,
};
use myelin_store::schema::search::{SearchDocument, SearchPosting};
use myelin_store::{Keyspace, Reader, Scan};
use myelin_testkit::{Client, TestServer};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

async fn try_on_room(server: &TestServer, room: &str, action: RoomAction) -> Result<Value, String> {
    match server.operate(Command::Room { action, room: room.to_owned() }).await {
        Reply::Done(value) => Ok(value),
        Reply::Failed(problem) => Err(problem),
    }
}

/// Waits until no job runs, and answers with the newest one.
async fn finished(server: &TestServer) -> Value {
    loop {
        let Reply::Done(jobs) = server.operate(Command::JobList).await else { panic!("no list") };
        if jobs.as_array().unwrap().iter().all(|job| job["status"] != "running") {
            return jobs[0].clone();
        }
        tokio::task::yield_now().await;
    }
}

async fn purge_before(server: &TestServer, room: &str, before: &str) -> Value {
    try_on_room(server, room, RoomAction::PurgeHistory { before: before.to_owned() }).await.unwrap();
    let job = finished(server).await;
    assert_eq!(job["status"], "done", "{job}");
    job
}

/// Every event that paging back shows, the newest first.
async fn timeline(user: &Client<'_>, room: &str) -> Vec<Value> {
    let (mut events, mut from) = (Vec::new(), String::new());
    loop {
        let page = user.get(&format!("{V3}/rooms/{room}/messages?dir=b&limit=7{from}")).await.ok();
        events.extend(page["chunk"].as_array().unwrap().iter().cloned());
        let Some(end) = page["end"].as_str() else { return events };
        from = format!("&from={end}");
    }
}

fn bodies(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["content"]["body"].as_str()).collect()
}

async fn found(user: &Client<'_>, word: &str) -> usize {
    let wish = json!({ "search_categories": { "room_events": { "search_term": word } } });
    let found = user.post(&format!("{V3}/search"), wish).await.ok();
    found["search_categories"]["room_events"]["results"].as_array().unwrap().len()
}

async fn relate(user: &Client<'_>, room: &str, txn: &str, rel_type: &str, target: &str) -> String {
    let relates = json!({ "rel_type": rel_type, "event_id": target });
    let content = json!({ "msgtype": "m.text", "body": format!("related {txn}"), "m.relates_to": relates });
    let sent = user.put(&format!("{V3}/rooms/{room}/send/m.room.message/{txn}"), content).await.ok();
    sent["event_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn history_goes_up_to_an_event_and_everything_else_goes_on() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat", "name": "Tea" })).await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    let gone = alice.say(&room, "gone", "oldneedle @room").await;
    let reply = relate(&bob, &room, "r1", "m.thread", &gone).await;
    let kept_root = alice.say(&room, "root", "kept root").await;
    let since =
        bob.get(&format!("{V3}/sync?timeout=0")).await.ok()["next_batch"].as_str().unwrap().to_owned();
    for n in 0..10 {
        alice.say(&room, &format!("n{n}"), "newneedle").await;
    }
    let late_reply = relate(&bob, &room, "r2", "m.thread", &gone).await;
    let kept_reply = relate(&bob, &room, "r3", "m.thread", &kept_root).await;
    assert_eq!((found(&bob, "oldneedle").await, found(&bob, "newneedle").await), (1, 10));

    let job = purge_before(&server, &room, &kept_root).await;
    assert_eq!(job["done"], 2, "{job}");
    let events = timeline(&bob, &room).await;
    let mut expected = vec!["related r3", "related r2"];
    expected.extend(["newneedle"; 10]);
    expected.push("kept root");
    assert_eq!(bodies(&events), expected);
    assert_eq!(events.last().unwrap()["type"], "m.room.create");
    for id in [&gone, &reply] {
        for path in ["event", "context"] {
            let answer = bob.get(&format!("{V3}/rooms/{room}/{path}/{id}")).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    assert_eq!((found(&bob, "oldneedle").await, found(&bob, "newneedle").await), (0, 10));
    let root = bob.get(&format!("{V3}/rooms/{room}/event/{kept_root}")).await.ok();
    let latest = &root["unsigned"]["m.relations"]["m.thread"]["latest_event"];
    assert_eq!(latest["event_id"], kept_reply.as_str());
    let threads = bob.get(&format!("/_matrix/client/v1/rooms/{room}/threads")).await.ok();
    let roots: Vec<_> = threads["chunk"].as_array().unwrap().iter().map(|root| &root["event_id"]).collect();
    assert_eq!(roots, [&json!(kept_root)]);
    // A reply whose thread is gone can still be redacted, and an old sync goes on.
    bob.put(&format!("{V3}/rooms/{room}/redact/{late_reply}/1"), json!({})).await.done();
    alice.say(&room, "after", "after the purge").await;
    let synced = bob.get(&format!("{V3}/sync?timeout=0&since={since}")).await.ok();
    let shown = &synced["rooms"]["join"][&room]["timeline"]["events"];
    assert!(shown.to_string().contains("after the purge"), "{synced}");
    let whole = bob.get(&format!("{V3}/sync?timeout=0")).await.ok();
    assert!(whole["rooms"]["join"][&room]["state"].to_string().contains("Tea"), "{whole}");
}

#[tokio::test]
async fn a_purge_up_to_a_time_keeps_state_and_the_newest_event_and_goes_on_after_a_restart() {
    let server = TestServer::new(2).await;
    let alice = server.register("alice").await;
    let token = alice.token.clone();
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    for n in 0..600 {
        alice.say(&room, &format!("n{n}"), "needle").await;
    }
    alice.say(&room, "last", "last").await;
    let before = i64::MAX.to_string();
    let odd = try_on_room(&server, &room, RoomAction::PurgeHistory { before: "yesterday".to_owned() }).await;
    assert!(odd.unwrap_err().contains("yesterday"));
    try_on_room(&server, &room, RoomAction::PurgeHistory { before }).await.unwrap();
    let server = server.restart().await;
    assert_eq!(finished(&server).await["done"], 600);
    let mut alice = server.anonymous();
    alice.token = token;
    let events = timeline(&alice, &room).await;
    assert_eq!(bodies(&events), ["last"]);
    alice.say(&room, "more", "more").await;
    assert_eq!(bodies(&timeline(&alice, &room).await), ["more", "last"]);
    let nid = nid(&server, &room).await.unwrap();
    let left = rows::<Event>(&server, Scan::index::<Event>(Event::BY_ORDER, (nid,), 1_000)).await;
    assert_eq!(
        rows::<EventContent>(&server, Scan::prefix::<EventContent>((), 1_000)).await.len(),
        left.len()
    );
}

async fn nid(server: &TestServer, room: &str) -> Option<RoomNid> {
    let id = OwnedRoomId::try_from(room).unwrap();
    let snapshot = server.engine.snapshot().await.unwrap();
    snapshot.get::<RoomById>(&(id,)).await.unwrap().map(|row| row.room)
}

async fn rows<K: Keyspace>(server: &TestServer, scan: Scan) -> Vec<K> {
    server.engine.snapshot().await.unwrap().scan::<K>(scan).await.unwrap()
}

#[tokio::test]
async fn a_purged_room_leaves_nothing_behind() {
    let server = TestServer::new(3).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let other = alice.create_room(json!({ "preset": "public_chat" })).await;
    alice.say(&other, "1", "needle elsewhere").await;
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    for n in 0..300 {
        alice.say(&room, &format!("n{n}"), "needle @bob:hs").await;
    }
    let root = alice.say(&room, "root", "root").await;
    relate(&bob, &room, "r", "m.thread", &root).await;
    let tag = format!("{V3}/user/{}/rooms/{room}/tags/m.favourite", bob.user_id);
    bob.put(&tag, json!({})).await.done();
    let full = try_on_room(&server, &room, RoomAction::Purge).await.unwrap_err();
    assert!(full.contains("2 users"), "{full}");
    try_on_room(&server, &room, RoomAction::ShutDown { message: None }).await.unwrap();
    finished(&server).await;
    let nid = nid(&server, &room).await.unwrap();
    let token = bob.token.clone();
    try_on_room(&server, &room, RoomAction::Purge).await.unwrap();
    let server = server.restart().await;
    let job = finished(&server).await;
    assert_eq!((&job["status"], &job["kind"]), (&json!("done"), &json!("purge_room")), "{job}");
    let mut bob = server.anonymous();
    bob.token = token;
    for path in ["messages?dir=b", "state", "members"] {
        let answer = bob.get(&format!("{V3}/rooms/{room}/{path}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(found(&bob, "needle").await, 0);
    bob.get(&format!("{V3}/sync?timeout=0")).await.done();
    assert_eq!(self::nid(&server, &room).await, None);
    assert!(rows::<Event>(&server, Scan::index::<Event>(Event::BY_ORDER, (nid,), 1)).await.is_empty());
    assert!(rows::<Member>(&server, Scan::prefix::<Member>((nid,), 1)).await.is_empty());
    assert!(rows::<State>(&server, Scan::prefix::<State>((nid,), 1)).await.is_empty());
    assert!(rows::<StateVersion>(&server, Scan::prefix::<StateVersion>((nid,), 1)).await.is_empty());
    assert!(rows::<Thread>(&server, Scan::prefix::<Thread>((nid,), 1)).await.is_empty());
    assert!(rows::<Relation>(&server, Scan::prefix::<Relation>((), 1)).await.is_empty());
    assert!(rows::<SearchPosting>(&server, Scan::prefix::<SearchPosting>((nid,), 1)).await.is_empty());
    let documents = rows::<SearchDocument>(&server, Scan::prefix::<SearchDocument>((), 100)).await;
    assert!(documents.iter().all(|document| document.room != nid));
}
