//! Kicks and bans that take along what their target wrote (MSC4293).
#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_model::{Fence, Shard};
use myelin_store::schema::erasure::RedactionSweep;
use myelin_store::schema::rooms::{Event, RoomById};
use myelin_store::{Batch, Reader, Scan};
use myelin_testkit::{Client, TestServer};
use ruma::{OwnedEventId, OwnedRoomId};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

async fn event(user: &Client<'_>, room: &str, event: &str) -> Value {
    user.get(&format!("{V3}/rooms/{room}/event/{event}")).await.ok()
}

async fn found(user: &Client<'_>, word: &str) -> usize {
    let wish = json!({ "search_categories": { "room_events": { "search_term": word } } });
    let found = user.post(&format!("{V3}/search"), wish).await.ok();
    found["search_categories"]["room_events"]["results"].as_array().unwrap().len()
}

async fn join(user: &Client<'_>, room: &str) {
    user.post(&format!("{V3}/join/{room}"), json!({})).await.done();
}

#[tokio::test]
async fn a_ban_takes_along_what_its_target_wrote_since_they_joined_and_an_unban_gives_nothing_back() {
    let server = TestServer::new(1).await;
    let (alice, spam) = (server.register("alice").await, server.register("spam").await);
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    let root = alice.say(&room, "root", "a thread begins").await;
    join(&spam, &room).await;
    let old = spam.say(&room, "1", "oldneedle").await;
    spam.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.done();
    join(&spam, &room).await;
    let mut sent = Vec::new();
    for n in 0..200 {
        sent.push(spam.say(&room, &format!("n{n}"), "needle").await);
    }
    let relates = json!({ "rel_type": "m.thread", "event_id": root });
    for user in [&alice, &spam] {
        for n in 0..3 {
            let path = format!("{V3}/rooms/{room}/send/m.room.message/t{n}");
            let reply = json!({ "msgtype": "m.text", "body": "reply", "m.relates_to": relates });
            user.put(&path, reply).await.done();
        }
    }
    assert_eq!(event(&alice, &room, &root).await["unsigned"]["m.relations"]["m.thread"]["count"], 6);
    assert!(found(&alice, "needle").await > 0);

    let ban = json!({ "user_id": spam.user_id, "reason": "flooding", "redact_events": true });
    alice.post(&format!("{V3}/rooms/{room}/ban"), ban).await.done();
    for id in [&sent[0], &sent[150], &sent[199]] {
        let event = event(&alice, &room, id).await;
        assert_eq!(event["content"], json!({}));
        let because = &event["unsigned"]["redacted_because"];
        assert_eq!(
            (&because["type"], &because["content"]["reason"]),
            (&json!("m.room.member"), &json!("flooding"))
        );
        assert_eq!(because["content"]["org.matrix.msc4293.redact_events"], true);
    }
    assert_eq!(event(&alice, &room, &old).await["content"]["body"], "oldneedle");
    let thread = &event(&alice, &room, &root).await["unsigned"]["m.relations"]["m.thread"];
    assert_eq!((&thread["count"], &thread["latest_event"]["sender"]), (&json!(3), &json!(alice.user_id)));
    assert_eq!((found(&alice, "needle").await, found(&alice, "oldneedle").await), (0, 1));
    let messages = alice.get(&format!("{V3}/rooms/{room}/messages?dir=b&limit=300")).await.ok();
    assert!(!messages.to_string().contains("\"needle\""));

    alice.post(&format!("{V3}/rooms/{room}/unban"), json!({ "user_id": spam.user_id })).await.done();
    assert_eq!(event(&alice, &room, &sent[0]).await["content"], json!({}));
    join(&spam, &room).await;
    let again = spam.say(&room, "again", "good now").await;
    assert_eq!(event(&alice, &room, &again).await["content"]["body"], "good now");
}

#[tokio::test]
async fn only_who_may_redact_takes_along_what_others_wrote_and_nobody_by_leaving() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let carol = server.register("carol").await;
    let levels = json!({ "users": { &bob.user_id: 50 }, "redact": 60, "kick": 50 });
    let wish = json!({ "preset": "public_chat", "power_level_content_override": levels });
    let room = alice.create_room(wish).await;
    join(&bob, &room).await;
    join(&carol, &room).await;
    let said = carol.say(&room, "1", "hello").await;
    let body = |event: Value| event["content"]["body"].clone();
    let kick = json!({ "user_id": carol.user_id, "org.matrix.msc4293.redact_events": true });
    bob.post(&format!("{V3}/rooms/{room}/kick"), kick.clone()).await.done();
    assert_eq!(body(event(&alice, &room, &said).await), "hello");
    join(&carol, &room).await;
    let left = json!({ "membership": "leave", "redact_events": true });
    carol.put(&format!("{V3}/rooms/{room}/state/m.room.member/{}", carol.user_id), left).await.done();
    assert_eq!(body(event(&alice, &room, &said).await), "hello");
    join(&carol, &room).await;
    let said = carol.say(&room, "2", "hello").await;
    alice.post(&format!("{V3}/rooms/{room}/kick"), kick).await.done();
    assert_eq!(body(event(&alice, &room, &said).await), Value::Null);
    let odd = alice.post(&format!("{V3}/rooms/{room}/kick"), json!({ "user_id": 7 })).await;
    assert_eq!((odd.status, odd.errcode()), (StatusCode::BAD_REQUEST, "M_BAD_JSON"));
}

#[tokio::test]
async fn what_a_crash_interrupted_is_redacted_after_the_next_start() {
    let server = TestServer::new(3).await;
    let (alice, spam) = (server.register("alice").await, server.register("spam").await);
    let token = alice.token.clone();
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    join(&spam, &room).await;
    let said = spam.say(&room, "1", "needle").await;
    alice.post(&format!("{V3}/rooms/{room}/kick"), json!({ "user_id": spam.user_id })).await.done();
    // As if the kick had asked for it, and the process had ended right after its commit.
    let snapshot = server.engine.snapshot().await.unwrap();
    let id = OwnedRoomId::try_from(room.as_str()).unwrap();
    let nid = snapshot.get::<RoomById>(&(id,)).await.unwrap().unwrap().room;
    let kicked = snapshot.scan::<Event>(Scan::index::<Event>(Event::BY_ORDER, (nid,), 1).backward()).await;
    let kicked = kicked.unwrap().pop().unwrap();
    let said_id = OwnedEventId::try_from(said.as_str()).unwrap();
    let first = snapshot.scan::<Event>(Scan::index::<Event>(Event::BY_ID, (said_id,), 1)).await.unwrap();
    drop(snapshot);
    let shard = Shard::of(&room);
    let mut batch = Batch::new(Fence { shard, epoch: server.engine.epoch(shard) });
    let (from, until) = (first[0].order.unwrap(), kicked.order.unwrap());
    let user_id = spam.user_id.as_str().try_into().unwrap();
    batch.put(&RedactionSweep { room: nid, by: kicked.event, user_id, from, until });
    server.engine.commit(batch).await.unwrap();

    let server = server.restart().await;
    let mut alice = server.anonymous();
    alice.token = token;
    for _ in 0..10_000 {
        if event(&alice, &room, &said).await["content"] == json!({}) {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it is not redacted");
}
