//! Room versions, and rooms that replace others.

use http::StatusCode;
use myelin_testkit::{Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";

async fn state(client: &Client<'_>, room: &str, kind: &str) -> Value {
    client.get(&format!("{V3}/rooms/{room}/state/{kind}")).await.ok()
}

#[tokio::test]
async fn rooms_of_every_supported_version_are_made_and_talked_in() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let capabilities = alice.get(&format!("{V3}/capabilities")).await.ok();
    let versions = capabilities["capabilities"]["m.room_versions"]["available"].as_object().unwrap().clone();
    assert_eq!(versions.len(), 10);
    for version in versions.keys() {
        let room = alice.create_room(json!({ "room_version": version, "preset": "public_chat" })).await;
        bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
        let event = bob.say(&room, version, "hello").await;
        let redact = format!("{V3}/rooms/{room}/redact/{event}/r{version}");
        alice.put(&redact, json!({ "reason": "spam" })).await.done();
        let redacted = bob.get(&format!("{V3}/rooms/{room}/event/{event}")).await.ok();
        assert_eq!(redacted["content"], json!({}), "{version}");
        assert_eq!(
            redacted["unsigned"]["redacted_because"]["content"]["redacts"],
            event.as_str(),
            "{version}"
        );
    }
    let old = alice.post(&format!("{V3}/createRoom"), json!({ "room_version": "1" })).await;
    assert_eq!((old.status, old.errcode()), (StatusCode::BAD_REQUEST, "M_UNSUPPORTED_ROOM_VERSION"));
}

#[tokio::test]
async fn an_upgrade_takes_along_what_makes_the_room() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let eve = server.register("eve").await;
    for (from, to) in [("10", "12"), ("12", "12"), ("12", "11"), ("6", "10")] {
        let name = format!("tea-{from}-{to}");
        let wish = json!({
            "room_version": from, "visibility": "public", "room_alias_name": name, "name": "Tea", "topic": "Leaves",
            "creation_content": { "type": "org.example.kind" },
        });
        let old = alice.create_room(wish).await;
        bob.post(&format!("{V3}/join/{old}"), json!({})).await.done();
        let mut levels = state(&alice, &old, "m.room.power_levels").await;
        levels["users"][&bob.user_id] = json!(50);
        alice.put(&format!("{V3}/rooms/{old}/state/m.room.power_levels"), levels).await.done();
        alice.post(&format!("{V3}/rooms/{old}/ban"), json!({ "user_id": eve.user_id })).await.done();

        let path = format!("{V3}/rooms/{old}/upgrade");
        let stranger = bob.post(&path, json!({ "new_version": to })).await;
        assert_eq!((stranger.status, stranger.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
        let unknown = alice.post(&path, json!({ "new_version": "99" })).await;
        assert_eq!(unknown.errcode(), "M_UNSUPPORTED_ROOM_VERSION");
        let new = alice.post(&path, json!({ "new_version": to })).await.ok();
        let new = new["replacement_room"].as_str().unwrap();

        let create = state(&alice, new, "m.room.create").await;
        assert_eq!((&create["room_version"], &create["type"]), (&json!(to), &json!("org.example.kind")));
        assert_eq!(create["predecessor"]["room_id"], old.as_str());
        assert_eq!(state(&alice, new, "m.room.name").await["name"], "Tea");
        assert_eq!(state(&alice, new, "m.room.topic").await["topic"], "Leaves");
        assert_eq!(state(&alice, new, "m.room.join_rules").await["join_rule"], "public");
        let levels = state(&alice, new, "m.room.power_levels").await;
        assert_eq!(levels["users"][&bob.user_id], 50);
        assert_eq!(levels["users"].get(&alice.user_id).is_some(), to != "12");
        let ban = state(&alice, new, &format!("m.room.member/{}", eve.user_id)).await;
        assert_eq!(ban["membership"], "ban");
        let alias = alice.get(&format!("{V3}/directory/room/%23{name}:hs")).await.ok();
        assert_eq!(alias["room_id"], new);
        assert_eq!(state(&alice, new, "m.room.canonical_alias").await["alias"], format!("#{name}:hs"));
        let listed = |room: &str| format!("{V3}/directory/list/room/{room}");
        assert_eq!(alice.get(&listed(new)).await.ok()["visibility"], "public");
        assert_eq!(alice.get(&listed(&old)).await.ok()["visibility"], "private");

        assert_eq!(state(&alice, &old, "m.room.tombstone").await["replacement_room"], new);
        assert_eq!(state(&alice, &old, "m.room.canonical_alias").await, json!({}));
        assert_eq!(state(&alice, &old, "m.room.power_levels").await["events_default"], 50);
        bob.post(&format!("{V3}/join/{new}"), json!({})).await.done();
    }
}
