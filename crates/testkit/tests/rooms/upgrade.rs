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
    assert_eq!(versions.len(), 11);
    for version in versions.keys() {
        let room = alice.create_room(json!({ "room_version": version, "preset": "public_chat" })).await;
        bob.post(&format!("{V3}/join/{room}"), json!({})).await.done();
        let event = bob.say(&room, version, "hello").await;
        // Ids of version 3 may have slashes.
        let escaped = event.replace('/', "%2F");
        let redact = format!("{V3}/rooms/{room}/redact/{escaped}/r{version}");
        alice.put(&redact, json!({ "reason": "spam" })).await.done();
        let redacted = bob.get(&format!("{V3}/rooms/{room}/event/{escaped}")).await.ok();
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
    for (from, to) in [("10", "12"), ("12", "12"), ("12", "11"), ("2", "10")] {
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

#[tokio::test]
async fn who_follows_to_the_new_room_finds_their_tags_direct_chat_and_push_rules_there() {
    let server = TestServer::new(3).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let eve = server.register("eve").await;
    let old = alice.create_room(json!({ "preset": "public_chat" })).await;
    bob.post(&format!("{V3}/join/{old}"), json!({})).await.done();
    for user in [&alice, &bob] {
        keep(user, &old).await;
    }
    // A room only says that it replaces another one: it must not get what is kept of that.
    let claims = json!({ "predecessor": { "room_id": old, "event_id": "$x" } });
    let wish = json!({ "preset": "public_chat", "creation_content": claims });
    let claimed = eve.create_room(wish).await;
    bob.post(&format!("{V3}/join/{claimed}"), json!({})).await.done();
    assert_eq!(kept(&bob, &claimed).await, (json!({}), json!([old]), Vec::<String>::new()));

    let new = alice.post(&format!("{V3}/rooms/{old}/upgrade"), json!({ "new_version": "12" })).await.ok();
    let new = new["replacement_room"].as_str().unwrap().to_owned();
    bob.post(&format!("{V3}/join/{new}"), json!({})).await.done();
    for user in [&alice, &bob] {
        let tags = json!({ "m.favourite": { "order": 0.5 } });
        let rules = vec![format!("override {new}"), format!("room {new}")];
        assert_eq!(kept(user, &new).await, (tags, json!([old, new]), rules));
    }
    // What they take away afterwards stays away.
    let tag = format!("{V3}/user/{}/rooms/{new}/tags/m.favourite", bob.user_id);
    bob.call(http::Method::DELETE, &tag, None).await.done();
    bob.post(&format!("{V3}/rooms/{new}/leave"), json!({})).await.done();
    bob.post(&format!("{V3}/join/{new}"), json!({})).await.done();
    assert_eq!(kept(&bob, &new).await.0, json!({}));
}

/// Tags the room, calls it a direct chat, and makes two push rules about it.
async fn keep(user: &Client<'_>, room: &str) {
    let me = format!("{V3}/user/{}", user.user_id);
    user.put(&format!("{me}/rooms/{room}/tags/m.favourite"), json!({ "order": 0.5 })).await.done();
    user.put(&format!("{me}/account_data/m.direct"), json!({ "@x:hs": [room] })).await.done();
    let rules = format!("{V3}/pushrules/global");
    let rule = json!({
        "actions": [],
        "conditions": [{ "kind": "event_match", "key": "room_id", "pattern": room }],
    });
    user.put(&format!("{rules}/override/{room}"), rule).await.done();
    user.put(&format!("{rules}/room/{room}"), json!({ "actions": ["notify"] })).await.done();
}

/// The room's tags, the direct chats, and the push rules about the room.
async fn kept(user: &Client<'_>, room: &str) -> (Value, Value, Vec<String>) {
    let me = format!("{V3}/user/{}", user.user_id);
    let tags = user.get(&format!("{me}/rooms/{room}/tags")).await.ok();
    let direct = user.get(&format!("{me}/account_data/m.direct")).await.ok();
    let rules = user.get(&format!("{V3}/pushrules/")).await.ok();
    let of = |kind: &str| {
        let rules = rules["global"][kind].as_array().into_iter().flatten();
        let ids = rules.filter_map(|rule| rule["rule_id"].as_str());
        ids.filter(|id| id.contains(room)).map(|id| format!("{kind} {id}")).collect::<Vec<_>>()
    };
    (tags["tags"].clone(), direct["@x:hs"].clone(), [of("override"), of("room")].concat())
}
