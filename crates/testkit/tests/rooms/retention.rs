//! How long history is kept (MSC1763).
#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_model::RoomNid;
use myelin_server::admin::{Command, Reply, RetentionAction};
use myelin_server::config::{Config, Registration, Retention};
use myelin_store::schema::erasure::RoomRetention;
use myelin_store::schema::notify::Notification;
use myelin_store::schema::rooms::{Event, EventContent, Relation, RoomById, Thread};
use myelin_store::schema::search::SearchDocument;
use myelin_store::{Keyspace, Reader, Scan};
use myelin_testkit::{Client, TestServer};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const HOUR: u64 = 3_600_000;

async fn operate(server: &TestServer, action: RetentionAction) -> Result<Value, String> {
    match server.operate(Command::Retention { action }).await {
        Reply::Done(value) => Ok(value),
        Reply::Failed(problem) => Err(problem),
    }
}

/// Deletes what is past its time; says how many events that were.
async fn expire(server: &TestServer) -> u64 {
    let pass = operate(server, RetentionAction::Run).await.unwrap();
    assert_eq!(pass["running"], false, "{pass}");
    pass["deleted"].as_u64().unwrap()
}

async fn server(seed: u64, retention: Retention) -> TestServer {
    let registration = Registration::Open;
    let mut config = Config { server_name: "hs".to_owned(), registration, retention, ..Config::default() };
    config.limits.enabled = false;
    TestServer::with(seed, config).await
}

async fn keep(user: &Client<'_>, room: &str, policy: Value) {
    user.put(&format!("{V3}/rooms/{room}/state/m.room.retention"), policy).await.done();
}

/// Every event that paging back shows, the newest first.
async fn timeline(user: &Client<'_>, room: &str) -> Vec<Value> {
    let page = user.get(&format!("{V3}/rooms/{room}/messages?dir=b&limit=1000")).await.ok();
    page["chunk"].as_array().unwrap().clone()
}

fn bodies(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["content"]["body"].as_str()).collect()
}

async fn relate(user: &Client<'_>, room: &str, txn: &str, rel_type: &str, target: &str) -> String {
    let relates = json!({ "rel_type": rel_type, "event_id": target });
    let content = json!({
        "msgtype": "m.text", "body": format!("related {txn}"), "m.relates_to": relates,
        "m.new_content": { "msgtype": "m.text", "body": format!("oldneedle {txn}") },
    });
    let sent = user.put(&format!("{V3}/rooms/{room}/send/m.room.message/{txn}"), content).await.ok();
    sent["event_id"].as_str().unwrap().to_owned()
}

async fn found(user: &Client<'_>, word: &str) -> usize {
    let wish = json!({ "search_categories": { "room_events": { "search_term": word } } });
    let found = user.post(&format!("{V3}/search"), wish).await.ok();
    found["search_categories"]["room_events"]["results"].as_array().unwrap().len()
}

async fn unread(user: &Client<'_>, room: &str) -> u64 {
    let synced = user.get(&format!("{V3}/sync?timeout=0")).await.ok();
    synced["rooms"]["join"][room]["unread_notifications"]["notification_count"].as_u64().unwrap()
}

async fn nid(server: &TestServer, room: &str) -> RoomNid {
    let id = OwnedRoomId::try_from(room).unwrap();
    let snapshot = server.engine.snapshot().await.unwrap();
    snapshot.get::<RoomById>(&(id,)).await.unwrap().unwrap().room
}

async fn rows<K: Keyspace>(server: &TestServer, scan: Scan) -> Vec<K> {
    server.engine.snapshot().await.unwrap().scan::<K>(scan).await.unwrap()
}

/// The messages of which the store knows anything.
async fn headers(server: &TestServer, room: &str) -> Vec<Event> {
    let nid = nid(server, room).await;
    let all: Vec<Event> = rows(server, Scan::index::<Event>(Event::BY_ORDER, (nid,), 10_000)).await;
    all.into_iter().filter(|event| event.state_key.is_none()).collect()
}

#[tokio::test]
async fn what_is_past_its_time_is_hidden_at_once_and_gone_after_the_next_pass() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat", "name": "Tea" })).await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    let mention =
        json!({ "msgtype": "m.text", "body": "oldneedle", "m.mentions": { "user_ids": ["@bob:hs"] } });
    let old = alice.put(&format!("{V3}/rooms/{room}/send/m.room.message/old"), mention).await.ok();
    let old = old["event_id"].as_str().unwrap().to_owned();
    let reply = relate(&alice, &room, "r1", "m.thread", &old).await;
    relate(&alice, &room, "e1", "m.replace", &old).await;
    server.clock.advance(std::time::Duration::from_millis(2 * HOUR));
    let root = alice.say(&room, "root", "newneedle").await;
    assert_eq!((found(&bob, "oldneedle").await, found(&bob, "newneedle").await), (1, 1));
    assert_eq!(rows::<Notification>(&server, Scan::prefix::<Notification>((), 10)).await.len(), 1);
    assert_eq!(expire(&server).await, 0, "nobody asked for it");
    assert_eq!(bodies(&timeline(&bob, &room).await).len(), 4);

    keep(&alice, &room, json!({ "max_lifetime": HOUR })).await;
    for deleted in [false, true] {
        let events = timeline(&bob, &room).await;
        assert_eq!(bodies(&events), ["newneedle"], "deleted: {deleted}");
        assert_eq!(events.last().unwrap()["type"], "m.room.create");
        for id in [&old, &reply] {
            for path in [format!("event/{id}"), format!("context/{id}")] {
                let answer = bob.get(&format!("{V3}/rooms/{room}/{path}")).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            }
        }
        let relations = bob.get(&format!("/_matrix/client/v1/rooms/{room}/relations/{old}")).await;
        assert_eq!(relations.status, StatusCode::NOT_FOUND);
        let threads = bob.get(&format!("/_matrix/client/v1/rooms/{room}/threads")).await.ok();
        assert_eq!(threads["chunk"], json!([]));
        assert_eq!((found(&bob, "oldneedle").await, found(&bob, "newneedle").await), (0, 1));
        let synced = bob.get(&format!("{V3}/sync?timeout=0")).await.ok();
        let text = synced["rooms"]["join"][&room].to_string();
        assert!(text.contains("newneedle") && text.contains("Tea") && !text.contains("oldneedle"), "{text}");
        let told = bob.get(&format!("{V3}/notifications")).await.ok();
        assert!(!told.to_string().contains("oldneedle"), "{told}");
        if !deleted {
            assert_eq!(expire(&server).await, 3);
        }
    }
    let left: Vec<_> = headers(&server, &room).await.into_iter().map(|event| event.event_id).collect();
    assert_eq!(left, [root.as_str()]);
    assert!(rows::<Relation>(&server, Scan::prefix::<Relation>((), 10)).await.is_empty());
    assert!(rows::<Thread>(&server, Scan::prefix::<Thread>((), 10)).await.is_empty());
    assert!(rows::<Notification>(&server, Scan::prefix::<Notification>((), 10)).await.is_empty());
    let contents: Vec<EventContent> = rows(&server, Scan::prefix::<EventContent>((), 1_000)).await;
    assert!(contents.iter().all(|row| !String::from_utf8_lossy(&row.json).contains("oldneedle")));
    let indexed: Vec<SearchDocument> = rows(&server, Scan::prefix::<SearchDocument>((), 1_000)).await;
    assert!(indexed.iter().all(|document| !document.words.contains("oldneedle")));
    // The room goes on.
    alice.say(&room, "after", "after").await;
    assert_eq!(bodies(&timeline(&bob, &room).await), ["after", "newneedle"]);
}

#[tokio::test]
async fn of_the_newest_message_only_the_header_stays_until_there_is_another_and_unread_counts_let_go() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    keep(&alice, &room, json!({ "max_lifetime": HOUR })).await;
    for n in 0..3 {
        alice.say(&room, &format!("n{n}"), "secret").await;
    }
    let thread = alice.say(&room, "root", "secret").await;
    relate(&alice, &room, "r", "m.thread", &thread).await;
    assert_eq!(unread(&bob, &room).await, 5);
    server.clock.advance(std::time::Duration::from_millis(2 * HOUR));
    assert_eq!(expire(&server).await, 5);
    assert_eq!((bodies(&timeline(&bob, &room).await).len(), unread(&bob, &room).await), (0, 0));
    let left = headers(&server, &room).await;
    assert_eq!(left.len(), 1);
    let content = (left.first().unwrap().event,);
    let snapshot = server.engine.snapshot().await.unwrap();
    assert!(snapshot.get::<EventContent>(&content).await.unwrap().is_none());
    drop(snapshot);
    assert_eq!(expire(&server).await, 0, "there is nothing more to do");
    // Even where the room keeps everything from now on, it does not come back.
    keep(&alice, &room, json!({})).await;
    assert!(bodies(&timeline(&bob, &room).await).is_empty());
    keep(&alice, &room, json!({ "max_lifetime": HOUR })).await;
    let fresh = alice.say(&room, "fresh", "fresh").await;
    assert_eq!((bodies(&timeline(&bob, &room).await).len(), unread(&bob, &room).await), (1, 1));
    assert_eq!(expire(&server).await, 1, "the header goes when nothing builds on it");
    let left: Vec<_> = headers(&server, &room).await.into_iter().map(|event| event.event_id).collect();
    assert_eq!(left, [fresh.as_str()]);
}

#[tokio::test]
async fn the_configuration_keeps_rooms_that_say_nothing_and_bounds_those_that_do() {
    let text = |text: &str| Some(text.to_owned());
    let retention = Retention {
        default_max_lifetime: text("10h"),
        allowed_lifetime_min: text("2h"),
        allowed_lifetime_max: text("20h"),
        ..Retention::default()
    };
    let server = server(3, retention).await;
    let alice = server.register("alice").await;
    let mut rooms = Vec::new();
    for policy in [None, Some(HOUR), Some(100 * HOUR)] {
        let room = alice.create_room(json!({ "preset": "private_chat" })).await;
        alice.say(&room, "1", "first").await;
        if let Some(lifetime) = policy {
            keep(&alice, &room, json!({ "max_lifetime": lifetime })).await;
        }
        let shown = operate(&server, RetentionAction::Show { room: Some(room.clone()) }).await.unwrap();
        assert_eq!(shown["policy"]["max_lifetime"], json!(policy), "{shown}");
        rooms.push((room, shown["lifetime"].as_u64().unwrap() / HOUR));
    }
    assert_eq!(rooms.iter().map(|(_, lifetime)| *lifetime).collect::<Vec<_>>(), [10, 2, 20]);
    for (hours, gone) in [(1, 0), (2, 1), (8, 2), (10, 3)] {
        server.clock.advance(std::time::Duration::from_millis(hours * HOUR));
        assert_eq!(expire(&server).await, u64::from(gone > 0), "after {hours} hours more");
        let mut empty = 0;
        for (room, _) in &rooms {
            empty += usize::from(bodies(&timeline(&alice, room).await).is_empty());
        }
        assert_eq!(empty, gone);
    }
    for prefix in ["/_matrix/client/unstable/org.matrix.msc1763", V3] {
        let told = alice.get(&format!("{prefix}/retention/configuration")).await.ok();
        assert_eq!(
            told,
            json!({
                "policies": { "*": { "max_lifetime": 10 * HOUR } },
                "limits": { "max_lifetime": { "min": 2 * HOUR, "max": 20 * HOUR } },
            })
        );
    }
    let odd = operate(&server, RetentionAction::Show { room: Some("!no:hs".to_owned()) }).await;
    assert!(odd.is_err());
}

#[tokio::test]
async fn a_long_history_goes_page_by_page_and_a_pass_goes_on_after_a_restart() {
    let server = TestServer::new(4).await;
    let alice = server.register("alice").await;
    let token = alice.token.clone();
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    for n in 0..700 {
        alice.say(&room, &format!("n{n}"), "needle").await;
    }
    server.clock.advance(std::time::Duration::from_millis(2 * HOUR));
    alice.say(&room, "last", "last").await;
    keep(&alice, &room, json!({ "max_lifetime": HOUR })).await;
    let server = server.restart().await;
    expire(&server).await;
    let mut alice = server.anonymous();
    alice.token = token;
    assert_eq!(bodies(&timeline(&alice, &room).await), ["last"]);
    assert_eq!(headers(&server, &room).await.len(), 1);
}

#[tokio::test]
async fn a_redacted_policy_and_one_turned_off_keep_everything() {
    let server = server(5, Retention { enabled: false, ..Retention::default() }).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    alice.say(&room, "1", "first").await;
    keep(&alice, &room, json!({ "max_lifetime": HOUR })).await;
    server.clock.advance(std::time::Duration::from_millis(2 * HOUR));
    assert_eq!(bodies(&timeline(&alice, &room).await), ["first"]);
    let off = operate(&server, RetentionAction::Run).await.unwrap_err();
    assert!(off.contains("retention.enabled"), "{off}");
    let policies = async |server: &TestServer| {
        rows::<RoomRetention>(server, Scan::prefix::<RoomRetention>((), 10)).await.len()
    };
    assert_eq!(policies(&server).await, 1);
    let state = alice.get(&format!("{V3}/rooms/{room}/state/m.room.retention?format=event")).await.ok();
    let id = state["event_id"].as_str().unwrap();
    alice.put(&format!("{V3}/rooms/{room}/redact/{id}/1"), json!({})).await.done();
    assert_eq!(policies(&server).await, 0);
}
