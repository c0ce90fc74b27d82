//! Extensions of sliding sync that are turned off and on again, and rooms that come back into sight.

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

struct Connection<'c, 's> {
    client: &'c Client<'s>,
    pos: Option<String>,
}

impl<'c, 's> Connection<'c, 's> {
    fn new(client: &'c Client<'s>) -> Self {
        Self { client, pos: None }
    }

    async fn next(&mut self, body: Value) -> Value {
        let query = self.pos.as_deref().map(|pos| format!("?pos={pos}")).unwrap_or_default();
        let path = format!("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync{query}");
        let answer = self.client.post(&path, body).await.ok();
        self.pos = Some(answer["pos"].as_str().unwrap().to_owned());
        answer
    }
}

/// A list of this many rooms, with this extension said something of.
fn list(rooms: u64, limit: u64, extension: &str, said: &Value) -> Value {
    let list = json!({ "ranges": [[0, rooms - 1]], "timeline_limit": limit, "required_state": [] });
    json!({ "lists": { "all": list }, "extensions": { extension: said } })
}

async fn room_of(alice: &Client<'_>, bob: &Client<'_>) -> String {
    let room = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
    room
}

async fn note(client: &Client<'_>, room: Option<&str>, kind: &str, content: Value) {
    let room = room.map(|room| format!("/rooms/{room}")).unwrap_or_default();
    let path = format!("{V3}/user/{}{room}/account_data/{kind}", client.user_id);
    client.put(&path, content).await.done();
}

async fn types(client: &Client<'_>, room: &str, typing: bool) {
    let path = format!("{V3}/rooms/{room}/typing/{}", client.user_id);
    let body =
        if typing { json!({ "typing": true, "timeout": 100_000 }) } else { json!({ "typing": false }) };
    client.put(&path, body).await.done();
}

fn kinds(events: &Value) -> Vec<&str> {
    let events = events.as_array().into_iter().flatten();
    events.filter_map(|event| event["type"].as_str()).collect()
}

#[tokio::test]
async fn account_data_that_changed_while_the_extension_was_off_comes_when_it_is_on_again() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &bob).await;
    note(&alice, None, "org.example.old", json!({ "n": 1 })).await;
    let mut connection = Connection::new(&alice);
    let said = |on: bool| list(5, 1, "account_data", &json!({ "enabled": on }));
    let first = connection.next(said(true)).await;
    assert!(kinds(&first["extensions"]["account_data"]["global"]).contains(&"org.example.old"));
    for _ in 0..2 {
        let off = connection.next(said(false)).await;
        assert_eq!(off["extensions"].get("account_data"), None);
        note(&alice, None, "org.example.new", json!({ "n": 1 })).await;
        note(&alice, Some(&room), "org.example.room", json!({ "n": 1 })).await;
    }
    connection.next(said(false)).await;
    let pos = connection.pos.clone();
    for _ in 0..2 {
        // Once more, as if the first answer was lost.
        connection.pos.clone_from(&pos);
        let on = connection.next(said(true)).await;
        let data = &on["extensions"]["account_data"];
        assert_eq!(kinds(&data["global"]), ["org.example.new"]);
        assert_eq!(kinds(&data["rooms"][&room]), ["org.example.room"]);
    }
    let data = connection.next(said(true)).await["extensions"]["account_data"].take();
    assert_eq!(data, json!({ "global": [], "rooms": {} }));
}

#[tokio::test]
async fn devices_that_changed_while_the_extension_was_off_are_named_when_it_is_on_again() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    room_of(&alice, &bob).await;
    let mut connection = Connection::new(&alice);
    let said = |on: bool| list(5, 1, "e2ee", &json!({ "enabled": on }));
    let first = connection.next(said(true)).await;
    assert_eq!(first["extensions"]["e2ee"].get("device_lists"), None);
    connection.next(said(false)).await;
    let whoami = bob.get(&format!("{V3}/account/whoami")).await.ok();
    let device = whoami["device_id"].as_str().unwrap();
    let keys = json!({
        "user_id": bob.user_id, "device_id": device, "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
        "keys": { format!("curve25519:{device}"): "wjLpTLRqbqBzLs63aYaEv2Boi6cFEbbM/sSRQ2oAKk4",
            format!("ed25519:{device}"): "nE6W2fCblxDcOFmeEtCHNl8/l8bXcu7GKyAswA4r3mM" },
        "signatures": { bob.user_id.clone(): { format!("ed25519:{device}"): "m53Wkbh2HXkc3vFApZvCrfXcX3AI51GsDHustMhKwlv3TuOJMj4wistcOTM8q2+e/Ro7rWFUb9ZfnNbwptSUBA" } },
    });
    bob.post(&format!("{V3}/keys/upload"), json!({ "device_keys": keys })).await.done();
    connection.next(said(false)).await;
    let on = connection.next(said(true)).await;
    assert_eq!(on["extensions"]["e2ee"]["device_lists"]["changed"], json!([bob.user_id]));
    let on = connection.next(said(true)).await;
    assert_eq!(on["extensions"]["e2ee"]["device_lists"]["changed"], json!([]));
}

#[tokio::test]
async fn a_timeline_that_grows_backwards_brings_the_receipts_of_what_it_shows() {
    let server = TestServer::new(3).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = room_of(&alice, &bob).await;
    let old = alice.say(&room, "old", "old").await;
    bob.post(&format!("{V3}/rooms/{room}/receipt/m.read/{old}"), json!({})).await.done();
    let new = alice.say(&room, "new", "new").await;
    let mut connection = Connection::new(&alice);
    let said = json!({ "enabled": true });
    let first = connection.next(list(5, 1, "receipts", &said)).await;
    assert_eq!(first["extensions"]["receipts"]["rooms"][&room]["content"].get(&old), None);
    let wide = connection.next(list(5, 10, "receipts", &said)).await;
    let receipts = &wide["extensions"]["receipts"]["rooms"][&room]["content"];
    assert!(receipts[&old]["m.read"].get(&bob.user_id).is_some(), "{receipts}");
    assert_eq!(receipts.get(&new), None);
    let after = connection.next(list(5, 10, "receipts", &said)).await;
    assert_eq!(after["extensions"]["receipts"]["rooms"], json!({}));
}

#[tokio::test]
async fn a_room_that_comes_back_into_sight_tells_who_types_and_who_stopped() {
    let server = TestServer::new(4).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let hidden = room_of(&alice, &bob).await;
    room_of(&alice, &bob).await;
    let mut connection = Connection::new(&alice);
    let said = |rooms: u64| list(rooms, 1, "typing", &json!({ "enabled": true }));
    let typists =
        |answer: &Value| answer["extensions"]["typing"]["rooms"][&hidden]["content"]["user_ids"].clone();
    types(&bob, &hidden, true).await;
    assert_eq!(typists(&connection.next(said(2)).await), json!([bob.user_id]));
    connection.next(said(1)).await;
    types(&bob, &hidden, false).await;
    assert_eq!(typists(&connection.next(said(1)).await), Value::Null, "the room is out of sight");
    let pos = connection.pos.clone();
    for _ in 0..2 {
        // Once more, as if the first answer was lost.
        connection.pos.clone_from(&pos);
        assert_eq!(typists(&connection.next(said(2)).await), json!([]));
    }
    assert_eq!(typists(&connection.next(said(2)).await), Value::Null);
}
