//! What relates to an event, threads, and events by their time.

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const V1: &str = "/_matrix/client/v1";

async fn relate(client: &Client<'_>, room: &str, txn: &str, kind: &str, rel_type: &str, to: &str) -> String {
    let content = json!({
        "msgtype": "m.text", "body": txn,
        "m.relates_to": { "rel_type": rel_type, "event_id": to, "key": txn },
    });
    let sent = client.put(&format!("{V3}/rooms/{room}/send/{kind}/{txn}"), content).await.ok();
    sent["event_id"].as_str().unwrap().to_owned()
}

fn ids(page: &Value) -> Vec<&str> {
    page["chunk"].as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn relations_are_filtered_paged_and_followed() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    let root = alice.say(&room, "root", "root").await;
    let mut replies = Vec::new();
    for n in 0..5 {
        replies.push(relate(&bob, &room, &format!("t{n}"), "m.room.message", "m.thread", &root).await);
    }
    let like = relate(&bob, &room, "like", "m.reaction", "m.annotation", &root).await;
    let below = relate(&alice, &room, "below", "m.reaction", "m.annotation", &replies[0]).await;
    let path = format!("{V1}/rooms/{room}/relations/{root}");
    let all = alice.get(&format!("{path}?limit=50")).await.ok();
    let newest_first: Vec<&str> =
        std::iter::once(&like).chain(replies.iter().rev()).map(String::as_str).collect();
    assert_eq!(ids(&all), newest_first);
    let likes = alice.get(&format!("{path}/m.annotation/m.reaction")).await.ok();
    assert_eq!(ids(&likes), [like.as_str()]);
    assert_eq!(ids(&alice.get(&format!("{path}/m.annotation/m.room.message")).await.ok()), [""; 0]);
    let mut walked = Vec::new();
    let mut from = String::new();
    loop {
        let page = alice.get(&format!("{path}/m.thread?dir=f&limit=2{from}")).await.ok();
        walked.extend(ids(&page).into_iter().map(str::to_owned));
        match page["next_batch"].as_str() {
            Some(next) => from = format!("&from={next}"),
            None => break,
        }
    }
    assert_eq!(walked, replies);
    let deep = alice.get(&format!("{path}?recurse=true&limit=50")).await.ok();
    assert_eq!(ids(&deep)[0], below);
    assert_eq!((ids(&deep).len(), &deep["recursion_depth"]), (7, &json!(3)));
    alice.put(&format!("{V3}/rooms/{room}/redact/{like}/x"), json!({})).await.done();
    assert_eq!(ids(&alice.get(&format!("{path}/m.annotation")).await.ok()), [""; 0]);
    let eve = server.register("eve").await;
    let hidden = eve.get(&path).await;
    assert_eq!((hidden.status, hidden.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    let none = alice.get(&format!("{V1}/rooms/{room}/relations/$none")).await;
    assert_eq!((none.status, none.errcode()), (StatusCode::NOT_FOUND, "M_NOT_FOUND"));
}

#[tokio::test]
async fn threads_are_listed_by_their_latest_reply() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    let mut roots = Vec::new();
    for n in 0..3 {
        roots.push(alice.say(&room, &n.to_string(), "root").await);
    }
    for (n, (who, root)) in [(&alice, 0), (&bob, 1), (&alice, 2), (&alice, 0)].into_iter().enumerate() {
        relate(who, &room, &format!("t{n}"), "m.room.message", "m.thread", &roots[root]).await;
    }
    let path = format!("{V1}/rooms/{room}/threads");
    let all = bob.get(&path).await.ok();
    assert_eq!(ids(&all), [roots[0].as_str(), &roots[2], &roots[1]]);
    assert_eq!(all["chunk"][0]["unsigned"]["m.relations"]["m.thread"]["count"], 2);
    assert_eq!(ids(&bob.get(&format!("{path}?include=participated")).await.ok()), [roots[1].as_str()]);
    let first = bob.get(&format!("{path}?limit=2")).await.ok();
    let next = first["next_batch"].as_str().unwrap();
    let second = bob.get(&format!("{path}?limit=2&from={next}")).await.ok();
    assert_eq!((ids(&first).len(), ids(&second)), (2, vec![roots[1].as_str()]));
    assert!(second.get("next_batch").is_none());
}

#[tokio::test]
async fn an_event_is_found_by_its_time_in_either_direction() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let mut sent = Vec::new();
    for n in 0..4 {
        server.clock.advance(std::time::Duration::from_secs(60));
        let event = alice.say(&room, &n.to_string(), "hi").await;
        let shown = alice.get(&format!("{V3}/rooms/{room}/event/{event}")).await.ok();
        sent.push((event, shown["origin_server_ts"].as_i64().unwrap()));
    }
    let at = async |ts: i64, dir: &str| {
        alice.get(&format!("{V1}/rooms/{room}/timestamp_to_event?ts={ts}&dir={dir}")).await
    };
    let between = sent[1].1 + 30_000;
    assert_eq!(at(between, "f").await.ok()["event_id"], sent[2].0.as_str());
    assert_eq!(at(between, "b").await.ok()["event_id"], sent[1].0.as_str());
    assert_eq!(at(sent[3].1, "f").await.ok()["origin_server_ts"], sent[3].1);
    assert_eq!(at(sent[3].1 + 1, "f").await.errcode(), "M_NOT_FOUND");
    assert_eq!(at(1, "b").await.errcode(), "M_NOT_FOUND");
}

#[tokio::test]
async fn the_same_state_is_one_event_and_a_canonical_alias_is_the_rooms_own() {
    let server = TestServer::new(4).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let set = async |kind: &str, content: Value| {
        alice.put(&format!("{V3}/rooms/{room}/state/{kind}"), content).await
    };
    let first = set("m.room.topic", json!({ "topic": "a" })).await.ok();
    assert_eq!(set("m.room.topic", json!({ "topic": "a" })).await.ok(), first);
    assert_ne!(set("m.room.topic", json!({ "topic": "b" })).await.ok(), first);
    let alias = |name: &str| json!({ "alias": format!("#{name}:hs") });
    assert_eq!(set("m.room.canonical_alias", alias("none")).await.errcode(), "M_BAD_ALIAS");
    assert_eq!(set("m.room.canonical_alias", json!({ "alias": "none" })).await.errcode(), "M_INVALID_PARAM");
    let directory = format!("{V3}/directory/room/%23tea:hs");
    alice.put(&directory, json!({ "room_id": room })).await.done();
    set("m.room.canonical_alias", alias("tea")).await.done();
    alice.call(http::Method::DELETE, &directory, None).await.done();
    let left = alice.get(&format!("{V3}/rooms/{room}/state/m.room.canonical_alias")).await.ok();
    assert_eq!(left, json!({}), "a deleted alias is taken out");
}
