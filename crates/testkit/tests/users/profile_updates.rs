//! The profiles extension of sliding sync (MSC4262).

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::Method;
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const PROFILES: &str = "org.matrix.msc4262.profiles";
const STATUS: &str = "org.example.status";

/// A client with one connection, whose list shows this many rooms.
struct Window<'c, 's> {
    client: &'c Client<'s>,
    rooms: u64,
    lazy: bool,
    pos: Option<String>,
}

impl<'c, 's> Window<'c, 's> {
    fn new(client: &'c Client<'s>, rooms: u64) -> Self {
        Self { client, rooms, lazy: false, pos: None }
    }

    /// `users` of the next answer.
    async fn next(&mut self, said: Value) -> Value {
        let query = self.pos.as_deref().map(|pos| format!("?pos={pos}")).unwrap_or_default();
        let path = format!("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync{query}");
        let state = if self.lazy { json!([["m.room.member", "$LAZY"]]) } else { json!([]) };
        let list = json!({ "ranges": [[0, self.rooms - 1]], "timeline_limit": 1, "required_state": state });
        let body = json!({ "lists": { "all": list }, "extensions": { PROFILES: said } });
        let mut answer = self.client.post(&path, body).await.ok();
        self.pos = Some(answer["pos"].as_str().unwrap().to_owned());
        answer["extensions"][PROFILES]["users"].take()
    }
}

fn on(fields: &[&str]) -> Value {
    json!({ "enabled": true, "fields": fields })
}

async fn set(client: &Client<'_>, field: &str, value: Value) {
    let path = format!("{V3}/profile/{}/{field}", client.user_id);
    client.put(&path, json!({ field: value })).await.done();
}

async fn unset(client: &Client<'_>, field: &str) {
    let path = format!("{V3}/profile/{}/{field}", client.user_id);
    client.call(Method::DELETE, &path, None).await.done();
}

async fn shared(alice: &Client<'_>, others: &[&Client<'_>]) -> String {
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    for other in others {
        other.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    }
    room
}

fn users(told: &Value) -> Vec<&str> {
    told.as_object().map(|users| users.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[tokio::test]
async fn the_people_of_a_room_are_told_of_once_and_then_what_they_change() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let eve = server.register("eve").await;
    for someone in [&alice, &bob, &eve] {
        set(someone, STATUS, json!({ "text": "here" })).await;
    }
    set(&bob, "org.example.other", json!(1)).await;
    shared(&alice, &[&bob]).await;
    let mut window = Window::new(&alice, 10);
    let told = window.next(on(&[STATUS])).await;
    assert_eq!(users(&told), [&*alice.user_id, &*bob.user_id]);
    assert_eq!(told[&bob.user_id], json!({ "updated": { STATUS: { "text": "here" } } }));
    assert_eq!(window.next(json!({})).await, Value::Null, "nothing is told twice");
    set(&bob, "org.example.other", json!(2)).await;
    set(&eve, STATUS, json!("stranger")).await;
    assert_eq!(window.next(json!({})).await, Value::Null, "neither other fields nor strangers are told of");
    set(&bob, STATUS, json!(null)).await;
    assert_eq!(window.next(json!({})).await, json!({ bob.user_id.clone(): { "updated": { STATUS: null } } }));
    unset(&bob, STATUS).await;
    set(&alice, STATUS, json!("mine")).await;
    let expected = json!({
        bob.user_id.clone(): { "removed": [STATUS] }, alice.user_id.clone(): { "updated": { STATUS: "mine" } },
    });
    let before = window.pos.clone();
    assert_eq!(window.next(json!({})).await, expected);
    // An answer that was lost is repeated.
    window.pos = before;
    assert_eq!(window.next(json!({})).await, expected);
    assert_eq!(window.next(json!({})).await, Value::Null);
}

#[tokio::test]
async fn whoever_shares_a_room_that_is_not_shown_is_told_of_when_they_change_something() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let carol = server.register("carol").await;
    set(&carol, STATUS, json!("old")).await;
    let hidden = shared(&alice, &[&carol]).await;
    shared(&alice, &[&bob]).await;
    let mut window = Window::new(&alice, 1);
    assert_eq!(window.next(on(&[STATUS])).await, Value::Null, "the room of the two is not shown");
    set(&carol, STATUS, json!("new")).await;
    let told = json!({ carol.user_id.clone(): { "updated": { STATUS: "new" } } });
    assert_eq!(window.next(json!({})).await, told);
    // The room comes into the window.
    window.rooms = 2;
    assert_eq!(window.next(json!({})).await, told);
    carol.post(&format!("{V3}/rooms/{hidden}/leave"), json!({})).await.done();
    assert_eq!(window.next(json!({})).await, json!({ carol.user_id.clone(): null }));
    set(&carol, STATUS, json!("gone")).await;
    assert_eq!(window.next(json!({})).await, Value::Null);
    carol.post(&format!("{V3}/join/{hidden}"), json!({})).await.done();
    let told = window.next(json!({})).await;
    assert_eq!(told[&carol.user_id], json!({ "updated": { STATUS: "gone" } }), "whoever comes is told of");
}

#[tokio::test]
async fn other_fields_and_a_fresh_start_bring_the_people_of_all_shown_rooms_again() {
    let server = TestServer::new(3).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    set(&bob, STATUS, json!("here")).await;
    set(&bob, "displayname", json!("Bob")).await;
    shared(&alice, &[&bob]).await;
    let mut window = Window::new(&alice, 10);
    assert_eq!(window.next(json!({})).await, Value::Null, "it is asked for");
    assert_eq!(users(&window.next(on(&[STATUS])).await), [&*bob.user_id]);
    let told = window.next(on(&[STATUS, "displayname"])).await;
    assert_eq!(told[&bob.user_id], json!({ "updated": { STATUS: "here", "displayname": "Bob" } }));
    assert_eq!(window.next(json!({})).await, Value::Null);
    assert_eq!(window.next(json!({ "enabled": false })).await, Value::Null);
    set(&bob, STATUS, json!("missed")).await;
    assert_eq!(window.next(json!({})).await, Value::Null);
    assert_eq!(window.next(json!({ "enabled": true })).await[&bob.user_id]["updated"][STATUS], "missed");
    // Without fields all of them; for no list, nobody but oneself and who changes something.
    let mut window = Window::new(&alice, 10);
    let told = window.next(json!({ "enabled": true })).await;
    assert_eq!(told[&bob.user_id]["updated"].as_object().unwrap().len(), 2);
    let mut window = Window::new(&alice, 10);
    assert_eq!(window.next(json!({ "enabled": true, "lists": [] })).await.get(&bob.user_id), None);
    set(&bob, STATUS, json!("changed")).await;
    assert_eq!(users(&window.next(json!({})).await), [&*bob.user_id]);
}

#[tokio::test]
async fn where_members_load_lazily_only_those_who_are_needed_are_told_of() {
    let server = TestServer::new(4).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let carol = server.register("carol").await;
    for someone in [&bob, &carol] {
        set(someone, STATUS, json!("here")).await;
    }
    let room = shared(&alice, &[&bob, &carol]).await;
    let named = alice.put(&format!("{V3}/rooms/{room}/state/m.room.name/"), json!({ "name": "Named" })).await;
    named.done();
    bob.say(&room, "1", "hello").await;
    let mut window = Window { lazy: true, ..Window::new(&alice, 10) };
    assert_eq!(users(&window.next(on(&[STATUS])).await), [&*bob.user_id]);
    bob.say(&room, "2", "again").await;
    assert_eq!(window.next(json!({})).await, Value::Null);
    carol.say(&room, "3", "me too").await;
    assert_eq!(users(&window.next(json!({})).await), [&*carol.user_id]);
}

#[tokio::test]
async fn a_change_wakes_whoever_waits_in_a_shared_room() {
    let server = TestServer::new(6).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    shared(&alice, &[&bob]).await;
    let mut window = Window::new(&alice, 10);
    window.next(on(&[STATUS])).await;
    let pos = window.pos.clone().unwrap();
    window.pos = Some(format!("{pos}&timeout=250000"));
    let (told, ()) = tokio::join!(window.next(json!({})), set(&bob, STATUS, json!("here")));
    assert_eq!(told[&bob.user_id], json!({ "updated": { STATUS: "here" } }));
}

#[tokio::test]
async fn many_changes_come_in_several_answers_and_none_is_lost() {
    let server = TestServer::new(5).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    shared(&alice, &[&bob]).await;
    let mut window = Window::new(&alice, 10);
    window.next(json!({ "enabled": true })).await;
    for n in 0..450 {
        set(&bob, &format!("org.example.f{n}"), json!(n)).await;
    }
    for n in 0..100 {
        unset(&bob, &format!("org.example.f{n}")).await;
    }
    let (mut updated, mut removed, mut answers) = (0, 0, 0);
    loop {
        let told = window.next(json!({})).await;
        if told.is_null() {
            break;
        }
        updated += told[&bob.user_id]["updated"].as_object().map_or(0, serde_json::Map::len);
        removed += told[&bob.user_id]["removed"].as_array().map_or(0, Vec::len);
        answers += 1;
    }
    // Of what was removed only the newest is kept.
    assert_eq!((updated, removed), (350, 64));
    assert!(answers > 1);
}
