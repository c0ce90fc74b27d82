//! Thread subscriptions (MSC4306) and their changes in sliding sync (MSC4308).

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::{Method, StatusCode};
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const THREADS: &str = "io.element.msc4308.thread_subscriptions";
const CHANGES: &str = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions";

fn path(room: &str, root: &str) -> String {
    format!("/_matrix/client/unstable/io.element.msc4306/rooms/{room}/thread/{root}/subscription")
}

async fn subscribe(client: &Client<'_>, room: &str, root: &str, cause: Option<&str>) -> (StatusCode, String) {
    let body = cause.map_or_else(|| json!({}), |cause| json!({ "automatic": cause }));
    let answer = client.put(&path(room, root), body).await;
    (answer.status, answer.errcode().to_owned())
}

async fn unsubscribe(client: &Client<'_>, room: &str, root: &str) {
    client.call(Method::DELETE, &path(room, root), None).await.done();
}

/// `automatic` of the subscription, if there is one.
async fn subscription(client: &Client<'_>, room: &str, root: &str) -> Option<bool> {
    let answer = client.get(&path(room, root)).await;
    if answer.status == StatusCode::NOT_FOUND {
        assert_eq!(answer.errcode(), "M_NOT_FOUND");
        return None;
    }
    answer.ok()["automatic"].as_bool()
}

async fn reply(client: &Client<'_>, room: &str, txn: &str, root: &str, more: Value) -> String {
    let mut content = json!({
        "msgtype": "m.text", "body": txn, "m.relates_to": { "rel_type": "m.thread", "event_id": root },
    });
    content.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let sent = client.put(&format!("{V3}/rooms/{room}/send/m.room.message/{txn}"), content).await.ok();
    sent["event_id"].as_str().unwrap().to_owned()
}

async fn sliding(client: &Client<'_>, pos: Option<&str>, said: Value) -> (String, Value) {
    let query = pos.map(|pos| format!("?pos={pos}")).unwrap_or_default();
    let path = format!("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync{query}");
    let mut answer = client.post(&path, json!({ "extensions": { THREADS: said } })).await.ok();
    (answer["pos"].as_str().unwrap().to_owned(), answer["extensions"][THREADS].take())
}

/// The unread notifications of the room, over all threads.
async fn unread(client: &Client<'_>, room: &str) -> u64 {
    let sync = client.get(&format!("{V3}/sync")).await.ok();
    let room = &sync["rooms"]["join"][room];
    room["unread_notifications"]["notification_count"].as_u64().unwrap()
}

async fn room_of(alice: &Client<'_>, bob: &Client<'_>) -> (String, String) {
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    let root = alice.say(&room, "root", "root").await;
    (room, root)
}

#[tokio::test]
async fn a_subscription_is_made_read_and_ended_and_outlives_the_server() {
    let mut server = TestServer::new(1).await;
    let token = {
        let (alice, bob) = (server.register("alice").await, server.register("bob").await);
        let (room, root) = room_of(&alice, &bob).await;
        assert_eq!(subscription(&bob, &room, &root).await, None);
        // Nothing to end is no error.
        unsubscribe(&bob, &room, &root).await;
        let first = reply(&alice, &room, "1", &root, json!({})).await;
        assert_eq!(subscribe(&bob, &room, &root, Some(&first)).await.0, StatusCode::OK);
        assert_eq!(subscription(&bob, &room, &root).await, Some(true));
        assert_eq!(subscribe(&bob, &room, &root, None).await.0, StatusCode::OK);
        assert_eq!(subscription(&bob, &room, &root).await, Some(false));
        // One's own wish is not overruled by a client's.
        assert_eq!(subscribe(&bob, &room, &root, Some(&first)).await.0, StatusCode::OK);
        assert_eq!(subscription(&bob, &room, &root).await, Some(false));
        assert_eq!(subscription(&alice, &room, &root).await, None);
        (bob.token.clone(), bob.user_id.clone(), room, root)
    };
    server = server.restart().await;
    let (token, user_id, room, root) = token;
    let mut bob = server.anonymous();
    (bob.token, bob.user_id) = (token, user_id);
    assert_eq!(subscription(&bob, &room, &root).await, Some(false));
    unsubscribe(&bob, &room, &root).await;
    assert_eq!(subscription(&bob, &room, &root).await, None);
}

#[tokio::test]
async fn an_automatic_subscription_needs_a_cause_that_is_newer_than_the_last_unsubscription() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (room, root) = room_of(&alice, &bob).await;
    let other = alice.say(&room, "other", "another root").await;
    let elsewhere = reply(&alice, &room, "0", &other, json!({})).await;
    let not_in_thread = (StatusCode::BAD_REQUEST, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD".to_owned());
    for cause in [root.as_str(), &elsewhere, "$none"] {
        assert_eq!(subscribe(&bob, &room, &root, Some(cause)).await, not_in_thread);
    }
    let first = reply(&alice, &room, "1", &root, json!({})).await;
    assert_eq!(subscribe(&bob, &room, &root, Some(&first)).await.0, StatusCode::OK);
    let second = reply(&alice, &room, "2", &root, json!({})).await;
    unsubscribe(&bob, &room, &root).await;
    let conflict = (StatusCode::CONFLICT, "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION".to_owned());
    for cause in [&first, &second] {
        assert_eq!(subscribe(&bob, &room, &root, Some(cause)).await, conflict);
        assert_eq!(subscription(&bob, &room, &root).await, None);
    }
    let third = reply(&alice, &room, "3", &root, json!({})).await;
    assert_eq!(subscribe(&bob, &room, &root, Some(&third)).await.0, StatusCode::OK);
    assert_eq!(subscription(&bob, &room, &root).await, Some(true));
}

#[tokio::test]
async fn a_thread_that_one_cannot_see_is_not_there() {
    let server = TestServer::new(3).await;
    let (alice, eve) = (server.register("alice").await, server.register("eve").await);
    let room = alice.create_room(json!({ "preset": "private_chat" })).await;
    let root = alice.say(&room, "root", "secret").await;
    for (room, root) in [(room.as_str(), root.as_str()), (&room, "$none"), ("!none:hs", &root)] {
        let put = subscribe(&eve, room, root, None).await;
        assert_eq!(put, (StatusCode::NOT_FOUND, "M_NOT_FOUND".to_owned()));
        let delete = eve.call(Method::DELETE, &path(room, root), None).await;
        assert_eq!((delete.status, delete.errcode()), (StatusCode::NOT_FOUND, "M_NOT_FOUND"));
        assert_eq!(subscription(&eve, room, root).await, None);
    }
    assert_eq!(subscribe(&alice, &room, "$none", None).await.0, StatusCode::NOT_FOUND);
    // A root of another room is none of this one.
    let other = alice.create_room(json!({})).await;
    assert_eq!(subscribe(&alice, &other, &root, None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn whoever_leaves_a_room_is_subscribed_to_nothing_in_it_when_they_come_back() {
    let server = TestServer::new(4).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (room, root) = room_of(&alice, &bob).await;
    assert_eq!(subscribe(&bob, &room, &root, None).await.0, StatusCode::OK);
    bob.post(&format!("{V3}/rooms/{room}/leave"), json!({})).await.done();
    assert_eq!(subscription(&bob, &room, &root).await, None);
    assert_eq!(subscribe(&bob, &room, &root, None).await.0, StatusCode::NOT_FOUND);
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    assert_eq!(subscription(&bob, &room, &root).await, None);
}

#[tokio::test]
async fn only_threads_that_one_subscribed_to_notify_from_the_first_subscription_on() {
    let server = TestServer::new(5).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (room, root) = room_of(&alice, &bob).await;
    let other = alice.say(&room, "other", "another root").await;
    bob.say(&room, "read", "all read").await;
    reply(&alice, &room, "1", &other, json!({})).await;
    assert_eq!(unread(&bob, &room).await, 1, "who never subscribed is told of every thread");
    assert_eq!(subscribe(&bob, &room, &root, None).await.0, StatusCode::OK);
    assert_eq!(unread(&bob, &room).await, 0);
    reply(&alice, &room, "2", &other, json!({})).await;
    assert_eq!(unread(&bob, &room).await, 0);
    reply(&alice, &room, "3", &root, json!({})).await;
    assert_eq!(unread(&bob, &room).await, 1);
    // A mention notifies in any thread, and what is in no thread notifies as ever.
    let mention = json!({ "m.mentions": { "user_ids": [bob.user_id] } });
    let cause = reply(&alice, &room, "4", &other, mention).await;
    alice.say(&room, "main", "in no thread").await;
    assert_eq!(unread(&bob, &room).await, 3);
    assert_eq!(subscribe(&bob, &room, &other, Some(&cause)).await.0, StatusCode::OK);
    reply(&alice, &room, "5", &other, json!({})).await;
    assert_eq!(unread(&bob, &room).await, 4);
    unsubscribe(&bob, &room, &root).await;
    assert_eq!(unread(&bob, &room).await, 3);
    let list = bob.get(&format!("{V3}/notifications?limit=50")).await.ok();
    let texts = list["notifications"].as_array().unwrap().iter();
    let texts: Vec<_> = texts.filter_map(|item| item["event"]["content"]["body"].as_str()).collect();
    assert_eq!(texts[..3], ["5", "in no thread", "4"]);
    assert!(!texts.contains(&"3") && !texts.contains(&"1"));
}

#[tokio::test]
async fn a_subscribed_thread_notifies_in_a_muted_room_and_what_no_other_rule_knows() {
    let server = TestServer::new(6).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (room, root) = room_of(&alice, &bob).await;
    bob.say(&room, "read", "all read").await;
    assert_eq!(subscribe(&bob, &room, &root, None).await.0, StatusCode::OK);
    let sticker = json!({ "body": "s", "m.relates_to": { "rel_type": "m.thread", "event_id": root } });
    let send = format!("{V3}/rooms/{room}/send/m.sticker");
    alice.put(&format!("{send}/s1"), sticker.clone()).await.done();
    assert_eq!(unread(&bob, &room).await, 1);
    bob.put(&format!("{V3}/pushrules/global/room/{room}"), json!({ "actions": [] })).await.done();
    alice.say(&room, "muted", "unheard").await;
    assert_eq!(unread(&bob, &room).await, 1);
    reply(&alice, &room, "1", &root, json!({})).await;
    alice.put(&format!("{send}/s2"), sticker).await.done();
    assert_eq!(unread(&bob, &room).await, 3);
}

#[tokio::test]
async fn the_rules_for_threads_can_be_disabled_but_no_others_of_their_kind_made() {
    let server = TestServer::new(7).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (room, root) = room_of(&alice, &bob).await;
    let other = alice.say(&room, "other", "another root").await;
    bob.say(&room, "read", "all read").await;
    assert_eq!(subscribe(&bob, &room, &root, None).await.0, StatusCode::OK);
    let rule = format!("{V3}/pushrules/global/postcontent/.io.element.msc4306.rule.unsubscribed_thread");
    assert_eq!(bob.get(&rule).await.ok()["enabled"], true);
    reply(&alice, &room, "1", &other, json!({})).await;
    assert_eq!(unread(&bob, &room).await, 0);
    bob.put(&format!("{rule}/enabled"), json!({ "enabled": false })).await.done();
    assert_eq!(bob.get(&rule).await.ok()["enabled"], false);
    reply(&alice, &room, "2", &other, json!({})).await;
    assert_eq!(unread(&bob, &room).await, 2, "every thread counts again");
    bob.put(&format!("{rule}/enabled"), json!({ "enabled": true })).await.done();
    assert_eq!(unread(&bob, &room).await, 0);
    let own = format!("{V3}/pushrules/global/postcontent/mine");
    let refused = bob.put(&own, json!({ "actions": ["notify"], "conditions": [] })).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"));
    let rules = bob.get(&format!("{V3}/pushrules/")).await.ok();
    assert_eq!(rules["global"]["postcontent"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn sliding_sync_tells_the_newest_changes_and_the_companion_endpoint_the_others() {
    let server = TestServer::new(8).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (room, _) = room_of(&alice, &bob).await;
    let on = json!({ "enabled": true, "limit": 2 });
    let (pos, said) = sliding(&bob, None, on.clone()).await;
    assert_eq!(said, Value::Null, "there is nothing to tell");
    let mut roots = Vec::new();
    for n in 0..5 {
        let root = alice.say(&room, &n.to_string(), "root").await;
        assert_eq!(subscribe(&bob, &room, &root, None).await.0, StatusCode::OK);
        roots.push(root);
    }
    unsubscribe(&bob, &room, &roots[0]).await;
    let (next, said) = sliding(&bob, Some(&pos), on.clone()).await;
    let told = |answer: &Value, list: &str| -> Vec<String> {
        let of_room = answer[list][&room].as_object().cloned().unwrap_or_default();
        of_room.into_iter().map(|(root, _)| root).collect()
    };
    assert_eq!(told(&said, "subscribed"), [roots[4].clone()]);
    assert_eq!(told(&said, "unsubscribed"), [roots[0].clone()]);
    assert_eq!(said["subscribed"][&room][&roots[4]]["automatic"], false);
    let stamp = |answer: &Value, list: &str, root: &str| answer[list][&room][root]["bump_stamp"].as_i64();
    assert!(
        stamp(&said, "unsubscribed", &roots[0]).unwrap() > stamp(&said, "subscribed", &roots[4]).unwrap()
    );
    let from = said["prev_batch"].as_str().unwrap();
    let page = bob.get(&format!("{CHANGES}?dir=b&limit=2&from={from}&to={pos}")).await.ok();
    let mut expected = [roots[2].clone(), roots[3].clone()];
    expected.sort_unstable();
    assert_eq!(told(&page, "subscribed"), expected);
    let from = page["end"].as_str().unwrap();
    let page = bob.get(&format!("{CHANGES}?dir=b&limit=2&from={from}&to={pos}")).await.ok();
    assert_eq!(told(&page, "subscribed"), [roots[1].clone()]);
    assert_eq!(page.get("end"), None);
    // What was told is not told again; an answer that may be lost is.
    assert_eq!(sliding(&bob, Some(&next), json!({})).await.1, Value::Null);
    // From the newest on, back to where a sync stood.
    let page = bob.get(&format!("{CHANGES}?dir=b&to={next}")).await.ok();
    assert_eq!(page, json!({}));
    let all = bob.get(&format!("{CHANGES}?dir=b")).await.ok();
    assert_eq!(told(&all, "subscribed").len(), 4);
    assert_eq!(told(&all, "unsubscribed"), [roots[0].clone()]);
    for bad in ["", "?dir=f", "?dir=b&limit=0", "?dir=b&from=x", "?dir=b&to=x", "?dir=b&limit=x"] {
        assert_eq!(bob.get(&format!("{CHANGES}{bad}")).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    // Switched on later, or on again, the extension begins with everything.
    let (pos, _) = sliding(&bob, None, json!({ "enabled": false })).await;
    let (pos, said) = sliding(&bob, Some(&pos), json!({ "enabled": true })).await;
    assert_eq!(told(&said, "subscribed").len(), 4);
    unsubscribe(&bob, &room, &roots[1]).await;
    let (_, said) = sliding(&bob, Some(&pos), json!({})).await;
    assert_eq!(told(&said, "unsubscribed"), [roots[1].clone()]);
    assert_eq!(told(&said, "subscribed"), [""; 0]);
}

#[tokio::test]
async fn a_gateway_gets_what_comes_into_subscribed_threads_and_nothing_of_others() {
    let server = TestServer::new(9).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let (room, root) = room_of(&alice, &bob).await;
    let other = alice.say(&room, "other", "another root").await;
    bob.say(&room, "read", "all read").await;
    let pusher = json!({
        "kind": "http", "app_id": "org.example.app", "pushkey": "key", "app_display_name": "App",
        "device_display_name": "Phone", "lang": "en",
        "data": { "url": "https://push.example.org/_matrix/push/v1/notify" },
    });
    bob.post(&format!("{V3}/pushers/set"), pusher).await.done();
    assert_eq!(subscribe(&bob, &room, &root, None).await.0, StatusCode::OK);
    reply(&alice, &room, "1", &other, json!({})).await;
    let told = reply(&alice, &room, "2", &root, json!({})).await;
    let got = server.gateway.next().await.notification;
    assert_eq!((&got["event_id"], &got["counts"]["unread"]), (&json!(told), &json!(1)));
    assert_eq!(got["devices"][0]["tweaks"], json!({ "sound": "default" }));
}
