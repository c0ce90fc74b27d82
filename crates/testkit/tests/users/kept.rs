//! What users keep on the server, over HTTP: profiles, account data, tags, receipts, typing, filters, push rules.

use std::time::Duration;

use http::{Method, StatusCode};
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

fn refused(answer: &Answer, status: StatusCode, errcode: &str) {
    assert_eq!((answer.status, answer.errcode()), (status, errcode), "{}", answer.body);
    assert!(answer.body["error"].as_str().is_some_and(|text| text.ends_with('.')), "{}", answer.body);
}

fn done(answer: Answer) {
    let _ = answer.ok();
}

/// A room of two.
async fn room_of(alice: &Client<'_>, bob: &Client<'_>) -> String {
    let room = alice.create_room(json!({ "preset": "private_chat", "invite": [bob.user_id] })).await;
    done(bob.post(&format!("{V3}/rooms/{room}/join"), json!({})).await);
    room
}

/// What a sync says of one room.
async fn synced(client: &Client<'_>, room: &str) -> Value {
    let mut answer = client.get(&format!("{V3}/sync")).await.ok();
    answer["rooms"]["join"][room].take()
}

async fn unread(client: &Client<'_>, room: &str) -> (u64, u64) {
    let counts = synced(client, room).await["unread_notifications"].take();
    let count = |name: &str| counts[name].as_u64().unwrap_or_default();
    (count("notification_count"), count("highlight_count"))
}

async fn receipt(client: &Client<'_>, room: &str, kind: &str, event: &str, body: Value) -> Answer {
    client.post(&format!("{V3}/rooms/{room}/receipt/{kind}/{event}"), body).await
}

#[tokio::test]
async fn a_new_display_name_reaches_the_rooms_and_survives_a_restart() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &bob).await;
    let field = format!("{V3}/profile/{}/displayname", alice.user_id);
    done(alice.put(&field, json!({ "displayname": "Alice" })).await);
    let member = format!("{V3}/rooms/{room}/state/m.room.member/{}", alice.user_id);
    tokio::time::timeout(Duration::from_secs(60), async {
        while bob.get(&member).await.ok()["displayname"] != "Alice" {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the room shows the new name");
    let (token, user_id) = (alice.token.clone(), alice.user_id.clone());
    drop((alice, bob));
    let server = server.restart().await;
    let mut alice = server.anonymous();
    alice.token = token;
    let profile = alice.get(&format!("{V3}/profile/{user_id}")).await.ok();
    assert_eq!(profile, json!({ "displayname": "Alice" }));
}

#[tokio::test]
async fn profile_fields_answer_in_the_words_of_the_specification() {
    let server = TestServer::new(2).await;
    let alice = server.register("alice").await;
    let nobody = server.anonymous();
    let path = |field: &str| format!("{V3}/profile/{}/{field}", alice.user_id);
    done(alice.put(&path("m.tz"), json!({ "m.tz": "Europe/Berlin" })).await);
    assert_eq!(nobody.get(&path("m.tz")).await.ok(), json!({ "m.tz": "Europe/Berlin" }));
    done(alice.call(Method::DELETE, &path("m.tz"), None).await);
    refused(&nobody.get(&path("m.tz")).await, StatusCode::NOT_FOUND, "M_NOT_FOUND");
    let bad = StatusCode::BAD_REQUEST;
    refused(&alice.put(&path("m.tz"), json!({})).await, bad, "M_MISSING_PARAM");
    refused(&alice.put(&path("Shout"), json!({ "Shout": 1 })).await, bad, "M_INVALID_PARAM");
    let long = format!("m.{}", "a".repeat(300));
    refused(&alice.put(&path(&long), json!({ &long: 1 })).await, bad, "M_KEY_TOO_LARGE");
    let large = json!({ "org.x.y": "a".repeat(70_000) });
    refused(&alice.put(&path("org.x.y"), large).await, bad, "M_PROFILE_TOO_LARGE");
    let number = json!({ "avatar_url": 3 });
    refused(&alice.put(&path("avatar_url"), number).await, bad, "M_INVALID_PARAM");
    for unknown in ["@nobody:hs", "@alice:elsewhere.example"] {
        let answer = alice.get(&format!("{V3}/profile/{unknown}")).await;
        refused(&answer, StatusCode::NOT_FOUND, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn account_data_and_tags_come_back_and_are_synced() {
    let server = TestServer::new(3).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &bob).await;
    let user = format!("{V3}/user/{}", alice.user_id);
    let global = format!("{user}/account_data/org.x");
    done(alice.put(&global, json!({ "b": 1, "a": 2 })).await);
    assert_eq!(alice.get(&global).await.ok(), json!({ "b": 1, "a": 2 }));
    let of_room = format!("{user}/rooms/{room}/account_data/org.x");
    refused(&alice.get(&of_room).await, StatusCode::NOT_FOUND, "M_NOT_FOUND");
    done(alice.put(&of_room, json!({ "in": "room" })).await);
    assert_eq!(alice.get(&of_room).await.ok(), json!({ "in": "room" }));
    done(alice.put(&format!("{user}/rooms/{room}/tags/m.favourite"), json!({ "order": 0.25 })).await);
    done(alice.put(&format!("{user}/rooms/{room}/tags/u.Work"), json!({})).await);
    done(alice.call(Method::DELETE, &format!("{user}/rooms/{room}/tags/u.Work"), None).await);
    let tags = json!({ "tags": { "m.favourite": { "order": 0.25 } } });
    assert_eq!(alice.get(&format!("{user}/rooms/{room}/tags")).await.ok(), tags);
    let events = synced(&alice, &room).await["account_data"]["events"].take();
    let events = events.as_array().unwrap();
    assert!(events.contains(&json!({ "type": "m.tag", "content": tags })), "{events:?}");

    for kind in ["m.push_rules", "m.fully_read"] {
        let answer = alice.put(&format!("{user}/account_data/{kind}"), json!({})).await;
        refused(&answer, StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON");
    }
    refused(&alice.put(&global, json!([1])).await, StatusCode::BAD_REQUEST, "M_BAD_JSON");
    refused(&alice.call(Method::PUT, &global, None).await, StatusCode::BAD_REQUEST, "M_NOT_JSON");
    for path in [&global, &of_room, &format!("{user}/rooms/{room}/tags")] {
        refused(&bob.get(path).await, StatusCode::FORBIDDEN, "M_FORBIDDEN");
    }
}

/// The counts of the main timeline and of one thread, as a sync tells who asks for counts by thread.
async fn unread_by_thread(client: &Client<'_>, room: &str, root: &str) -> (u64, u64) {
    let filter = "%7B%22room%22:%7B%22timeline%22:%7B%22unread_thread_notifications%22:true%7D%7D%7D";
    let answer = client.get(&format!("{V3}/sync?filter={filter}")).await.ok();
    let room = &answer["rooms"]["join"][room];
    let count = |counts: &Value| counts["notification_count"].as_u64().unwrap_or_default();
    (count(&room["unread_notifications"]), count(&room["unread_thread_notifications"][root]))
}

#[tokio::test]
async fn unread_counts_by_thread_follow_each_thread_s_receipts() {
    let server = TestServer::new(5).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &bob).await;
    let root = alice.say(&room, "1", "a root").await;
    let relate = async |id: &str, rel_type: &str, target: &str| {
        let relation = json!({ "rel_type": rel_type, "event_id": target });
        let body = json!({ "msgtype": "m.text", "body": "in a thread", "m.relates_to": relation });
        let path = format!("{V3}/rooms/{room}/send/m.room.message/{id}");
        alice.put(&path, body).await.ok()["event_id"].as_str().unwrap().to_owned()
    };
    let first = relate("2", "m.thread", &root).await;
    // What refers to an event of a thread is in the thread; what refers to its root is in the main timeline.
    let second = relate("3", "m.reference", &first).await;
    let beside = relate("4", "m.reference", &root).await;
    assert_eq!(unread_by_thread(&bob, &room, &root).await, (2, 2));
    assert_eq!(unread(&bob, &room).await, (4, 0));
    done(receipt(&bob, &room, "m.read", &beside, json!({ "thread_id": "main" })).await);
    assert_eq!(unread_by_thread(&bob, &room, &root).await, (0, 2));
    assert_eq!(unread(&bob, &room).await, (2, 0));
    done(receipt(&bob, &room, "m.read", &first, json!({ "thread_id": root })).await);
    assert_eq!(unread_by_thread(&bob, &room, &root).await, (0, 1));
    let answer = receipt(&bob, &room, "m.read", &second, json!({ "thread_id": "main" })).await;
    refused(&answer, StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
    // A thread's view shows what relates to its root too.
    done(receipt(&bob, &room, "m.read", &beside, json!({ "thread_id": root })).await);
    assert_eq!((unread_by_thread(&bob, &room, &root).await, unread(&bob, &room).await), ((0, 0), (0, 0)));
}

#[tokio::test]
async fn unread_counts_follow_messages_mentions_receipts_and_own_messages() {
    let server = TestServer::new(4).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &bob).await;
    assert_eq!(unread(&bob, &room).await, (0, 0));
    let first = alice.say(&room, "1", "one").await;
    let path = format!("{V3}/rooms/{room}/send/m.room.message/2");
    let mention = json!({ "msgtype": "m.text", "body": "bob!", "m.mentions": { "user_ids": [bob.user_id] } });
    let second = alice.put(&path, mention).await.ok()["event_id"].as_str().unwrap().to_owned();
    assert_eq!(unread(&bob, &room).await, (2, 1));
    assert_eq!(unread(&alice, &room).await, (0, 0));
    done(receipt(&bob, &room, "m.read.private", &first, json!({})).await);
    assert_eq!(unread(&bob, &room).await, (1, 1));
    let markers = json!({ "m.fully_read": first, "m.read": second });
    done(bob.post(&format!("{V3}/rooms/{room}/read_markers"), markers).await);
    assert_eq!(unread(&bob, &room).await, (0, 0));
    let marker = format!("{V3}/user/{}/rooms/{room}/account_data/m.fully_read", bob.user_id);
    assert_eq!(bob.get(&marker).await.ok(), json!({ "event_id": first }));
    alice.say(&room, "3", "three").await;
    assert_eq!(unread(&bob, &room).await, (1, 0));
    bob.say(&room, "4", "four").await;
    assert_eq!((unread(&bob, &room).await, unread(&alice, &room).await), ((0, 0), (1, 0)));
}

#[tokio::test]
async fn what_is_read_on_one_device_stops_counting_in_the_window_of_another() {
    let server = TestServer::new(14).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &bob).await;
    let sync = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    let list =
        json!({ "lists": { "all": { "ranges": [[0, 9]], "required_state": [], "timeline_limit": 3 } } });
    alice.say(&room, "1", "one").await;
    let last = alice.say(&room, "2", "two").await;
    let answer = bob.post(sync, list.clone()).await.ok();
    assert_eq!(answer["rooms"][&room]["notification_count"], 2);
    let pos = answer["pos"].as_str().unwrap();
    done(receipt(&bob, &room, "m.read", &last, json!({})).await);
    let answer = bob.post(&format!("{sync}?pos={pos}&timeout=0"), list).await.ok();
    assert_eq!(answer["rooms"][&room]["notification_count"], 0, "{answer}");
    assert_eq!(answer["rooms"][&room].get("timeline"), None, "nothing new was said");
}

#[tokio::test]
async fn a_private_receipt_is_shown_to_nobody_else() {
    let server = TestServer::new(5).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &bob).await;
    let event = alice.say(&room, "1", "one").await;
    done(receipt(&bob, &room, "m.read.private", &event, json!({})).await);
    let seen = |answer: &Value| answer["ephemeral"].to_string().contains("m.read");
    assert!(!seen(&synced(&alice, &room).await));
    assert!(seen(&synced(&bob, &room).await));
    done(receipt(&bob, &room, "m.read", &event, json!({ "thread_id": "main" })).await);
    assert!(seen(&synced(&alice, &room).await));
}

#[tokio::test]
async fn bad_receipts_are_told_apart() {
    let server = TestServer::new(6).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &bob).await;
    let event = alice.say(&room, "1", "one").await;
    let other = alice.say(&room, "2", "two").await;
    for thread_id in [json!(""), json!(3), json!(null), json!("nonsense"), json!(other)] {
        let answer = receipt(&bob, &room, "m.read", &event, json!({ "thread_id": thread_id })).await;
        refused(&answer, StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
    }
    let answer = receipt(&bob, &room, "m.fully_read", &event, json!({ "thread_id": "main" })).await;
    refused(&answer, StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
    refused(
        &receipt(&bob, &room, "m.seen", &event, json!({})).await,
        StatusCode::BAD_REQUEST,
        "M_INVALID_PARAM",
    );
    let unknown = receipt(&bob, &room, "m.read", "$unknown", json!({})).await;
    refused(&unknown, StatusCode::NOT_FOUND, "M_NOT_FOUND");
    let path = format!("{V3}/rooms/{room}/receipt/m.read/{event}");
    done(bob.call(Method::POST, &path, None).await);
}

#[tokio::test]
async fn typing_is_synced_until_it_ends() {
    let server = TestServer::new(7).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &bob).await;
    let path = format!("{V3}/rooms/{room}/typing/{}", alice.user_id);
    done(alice.put(&path, json!({ "typing": true, "timeout": 20_000 })).await);
    let ephemeral = synced(&bob, &room).await["ephemeral"].to_string();
    assert!(ephemeral.contains("m.typing") && ephemeral.contains(&alice.user_id), "{ephemeral}");
    server.clock.advance(Duration::from_secs(21));
    let ephemeral = synced(&bob, &room).await["ephemeral"].to_string();
    assert!(!ephemeral.contains(&alice.user_id), "{ephemeral}");
    done(alice.put(&path, json!({ "typing": true })).await);
    let ephemeral = synced(&bob, &room).await["ephemeral"].to_string();
    assert!(ephemeral.contains(&alice.user_id), "{ephemeral}");
    let message = json!({ "msgtype": "m.text", "body": "typed" });
    let sent = alice.put(&format!("{V3}/rooms/{room}/send/m.room.message/typed"), message).await.ok();
    assert!(sent["event_id"].is_string());
    let ephemeral = synced(&bob, &room).await["ephemeral"].to_string();
    assert!(!ephemeral.contains(&alice.user_id), "what was typed is sent: {ephemeral}");
    refused(&bob.put(&path, json!({ "typing": true })).await, StatusCode::FORBIDDEN, "M_FORBIDDEN");
    refused(&alice.put(&path, json!({})).await, StatusCode::BAD_REQUEST, "M_BAD_JSON");
}

#[tokio::test]
async fn filters_are_saved_once_and_used_by_sync() {
    let server = TestServer::new(8).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let path = format!("{V3}/user/{}/filter", alice.user_id);
    let filter = json!({ "room": { "timeline": { "limit": 1 } }, "org.x": [1] });
    let saved = alice.post(&path, filter.clone()).await.ok();
    assert_eq!(alice.post(&path, filter.clone()).await.ok(), saved);
    let id = saved["filter_id"].as_str().unwrap();
    assert_eq!(alice.get(&format!("{path}/{id}")).await.ok(), filter);
    done(alice.get(&format!("{V3}/sync?filter={id}")).await);
    refused(&alice.get(&format!("{path}/none")).await, StatusCode::NOT_FOUND, "M_NOT_FOUND");
    let wrong = json!({ "room": { "timeline": { "limit": "many" } } });
    refused(&alice.post(&path, wrong).await, StatusCode::BAD_REQUEST, "M_BAD_JSON");
    refused(&bob.post(&path, filter).await, StatusCode::FORBIDDEN, "M_FORBIDDEN");
    refused(&bob.get(&format!("{path}/{id}")).await, StatusCode::FORBIDDEN, "M_FORBIDDEN");
}

#[tokio::test]
async fn push_rules_are_the_default_ones_in_every_view() {
    let server = TestServer::new(9).await;
    let alice = server.register("alice").await;
    let all = alice.get(&format!("{V3}/pushrules/")).await.ok();
    assert_eq!(alice.get(&format!("{V3}/pushrules/global/")).await.ok(), all["global"]);
    let data = format!("{V3}/user/{}/account_data/m.push_rules", alice.user_id);
    assert_eq!(alice.get(&data).await.ok(), all);
    let synced = alice.get(&format!("{V3}/sync")).await.ok();
    let events = synced["account_data"]["events"].as_array().unwrap();
    assert!(events.contains(&json!({ "type": "m.push_rules", "content": all })));
    let rule = format!("{V3}/pushrules/global/override/.m.rule.is_user_mention");
    assert_eq!(alice.get(&rule).await.ok()["conditions"][0]["value"], alice.user_id.as_str());
    assert_eq!(alice.get(&format!("{rule}/enabled")).await.ok(), json!({ "enabled": true }));
    assert_eq!(alice.get(&format!("{rule}/actions")).await.ok()["actions"][0], "notify");
    let none = alice.get(&format!("{V3}/pushrules/global/override/nothing")).await;
    refused(&none, StatusCode::NOT_FOUND, "M_NOT_FOUND");
}
