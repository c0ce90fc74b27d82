//! `/v3/sync` as classic clients use it.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use myelin_store::schema::rooms::Membership;
use myelin_store::schema::users::GLOBAL;
use myelin_sync::v3::{V3Error, V3Request};
use myelin_timeline::testing::Draft;
use ruma::user_id;
use serde_json::{Value, json};
use support::{Server, alice, bob, bodies, kinds};

#[tokio::test(start_paused = true)]
async fn a_first_sync_has_every_room_and_the_next_one_what_changed() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let quiet = server.world.room(alice(), "shared").await;
    let (room_id, quiet_id) =
        (server.world.room_id(room).to_string(), server.world.room_id(quiet).to_string());
    server.world.account_data(alice(), room, "m.tag", json!({ "tags": {} })).await;
    for n in 0..12 {
        server.world.say(room, alice(), &n.to_string()).await;
    }
    let mut client = server.client(alice());
    let answer = client.v3(&server).await;
    let joined = &answer["rooms"]["join"][&room_id];
    assert_eq!(joined["timeline"]["limited"], true);
    assert_eq!(bodies(&joined["timeline"]["events"]).len(), 10);
    let state = ["m.room.create/", "m.room.history_visibility/", "m.room.member/@alice:test"];
    assert_eq!(kinds(&joined["state"]["events"]), state);
    assert_eq!(joined["account_data"]["events"][0]["type"], "m.tag");
    assert_eq!(joined["summary"]["m.joined_member_count"], 1);
    assert_eq!(answer["rooms"]["join"][&quiet_id]["timeline"]["limited"], false);
    assert_eq!(answer["rooms"]["join"][&quiet_id]["state"]["events"], json!([]), "it is all in the timeline");
    assert_eq!(answer["device_unused_fallback_key_types"], json!([]));
    assert_eq!(answer["device_one_time_keys_count"]["signed_curve25519"], 0);

    assert_eq!(client.v3(&server).await["rooms"], json!({}));
    server.world.say(room, alice(), "news").await;
    let answer = client.v3(&server).await;
    assert_eq!(answer["rooms"]["join"].as_object().unwrap().len(), 1);
    let joined = &answer["rooms"]["join"][&room_id];
    assert_eq!(bodies(&joined["timeline"]["events"]), ["news"]);
    assert_eq!(joined["timeline"]["limited"], false);
    assert_eq!(joined["state"]["events"], json!([]));
    assert_eq!(joined.get("summary"), None);
}

#[tokio::test(start_paused = true)]
async fn state_is_told_as_it_was_before_the_timeline_or_as_it_is_after_it() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    let topic = |topic: &str| Draft::state(room, alice(), "m.room.topic", "", json!({ "topic": topic }));
    let mut client = server.client(alice());
    client.v3(&server).await;
    server.world.send(topic("in the gap")).await;
    server.world.say(room, alice(), "1").await;
    server.world.send(topic("in the timeline")).await;
    server.world.say(room, alice(), "2").await;
    let short = json!({ "room": { "timeline": { "limit": 2 } } });
    let mut other = client.clone();
    let answer = client.v3_filtered(&server, &short).await;
    let joined = &answer["rooms"]["join"][&room_id];
    assert_eq!(joined["timeline"]["limited"], true);
    assert_eq!(joined["state"]["events"][0]["content"]["topic"], "in the gap");
    let request = V3Request {
        filter: Some(short.to_string()),
        unstable_use_state_after: true,
        use_state_after: true,
        ..V3Request::default()
    };
    let answer = other.try_v3(&server, request).await.unwrap();
    let joined = &answer["rooms"]["join"][&room_id];
    assert_eq!(joined.get("state"), None);
    assert_eq!(joined["state_after"]["events"][0]["content"]["topic"], "in the timeline");
    assert_eq!(joined["org.matrix.msc4222.state_after"], joined["state_after"]);
}

#[tokio::test(start_paused = true)]
async fn a_room_joined_since_comes_whole_and_one_left_says_goodbye() {
    let server = Server::new();
    let room = server.world.room(bob(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    server.world.say(room, bob(), "old").await;
    let mut client = server.client(alice());
    client.v3(&server).await;
    server.world.member(room, bob(), alice(), Membership::Invite).await;
    let answer = client.v3(&server).await;
    let invite = answer["rooms"]["invite"][&room_id]["invite_state"]["events"].as_array().unwrap().len();
    assert!(invite >= 3, "the room, who invites, and the invite");
    server.world.member(room, alice(), alice(), Membership::Join).await;
    let answer = client.v3(&server).await;
    let joined = &answer["rooms"]["join"][&room_id];
    assert!(bodies(&joined["timeline"]["events"]).contains(&"old".to_owned()));
    assert_eq!(answer["device_lists"]["changed"], json!(["@bob:test"]));
    assert_eq!(joined["summary"]["m.heroes"], json!(["@bob:test"]));
    server.world.member(room, bob(), alice(), Membership::Ban).await;
    server.world.say(room, bob(), "secret").await;
    let answer = client.v3(&server).await;
    let left = &answer["rooms"]["leave"][&room_id];
    assert_eq!(bodies(&left["timeline"]["events"]), ["m.room.member"]);
    assert_eq!(answer["device_lists"]["left"], json!(["@bob:test"]));
    assert_eq!(client.v3(&server).await["rooms"], json!({}));
    assert_eq!(server.client(alice()).v3(&server).await["rooms"], json!({}));
    let all = json!({ "room": { "include_leave": true } });
    let answer = server.client(alice()).v3_filtered(&server, &all).await;
    assert!(
        !bodies(&answer["rooms"]["leave"][&room_id]["timeline"]["events"]).contains(&"secret".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn filters_choose_events_rooms_and_members() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    let carol = user_id!("@carol:test");
    server.world.member(room, bob(), bob(), Membership::Join).await;
    server.world.member(room, carol, carol, Membership::Join).await;
    server.world.send(Draft::state(room, alice(), "m.room.name", "", json!({ "name": "Named" }))).await;
    server.world.say(room, bob(), "bob").await;
    server.world.send(Draft::message(room, alice(), "m.reaction", json!({}))).await;
    let filter = json!({ "room": {
        "timeline": { "types": ["m.room.message"], "limit": 1 }, "state": { "lazy_load_members": true },
    } });
    let answer = server.client(alice()).v3_filtered(&server, &filter).await;
    let joined = &answer["rooms"]["join"][&room_id];
    assert_eq!(bodies(&joined["timeline"]["events"]), ["bob"]);
    let members: Vec<_> = kinds(&joined["state"]["events"])
        .into_iter()
        .filter(|kind| kind.starts_with("m.room.member"))
        .collect();
    assert_eq!(members, ["m.room.member/@alice:test", "m.room.member/@bob:test"]);
    let nothing = json!({ "room": { "not_rooms": [room_id] } });
    assert_eq!(server.client(alice()).v3_filtered(&server, &nothing).await["rooms"], json!({}));
    let request = V3Request { filter: Some("17".to_owned()), ..V3Request::default() };
    let unknown = server.client(alice()).try_v3(&server, request).await;
    assert!(matches!(unknown, Err(V3Error::UnknownFilter)));
}

#[tokio::test(start_paused = true)]
async fn where_members_load_lazily_the_heroes_come_with_their_memberships() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    server.world.member(room, bob(), bob(), Membership::Join).await;
    let filter = json!({ "room": { "timeline": { "limit": 1 }, "state": { "lazy_load_members": true } } });
    let members = |answer: &Value| {
        let events = &answer["rooms"]["join"][&room_id]["state"]["events"];
        let kinds = kinds(events).into_iter();
        kinds.filter(|kind| kind.starts_with("m.room.member")).collect::<Vec<_>>()
    };
    server.world.say(room, alice(), "bob is silent").await;
    let mut client = server.client(alice());
    let answer = client.v3_filtered(&server, &filter).await;
    assert_eq!(answer["rooms"]["join"][&room_id]["summary"]["m.heroes"], json!(["@bob:test"]));
    assert_eq!(members(&answer), ["m.room.member/@alice:test", "m.room.member/@bob:test"]);

    let named = json!({ "name": "A name" });
    server.world.send(Draft::state(room, alice(), "m.room.name", "", named)).await;
    client.v3_filtered(&server, &filter).await;
    server.world.send(Draft::state(room, alice(), "m.room.name", "", json!({ "name": "" }))).await;
    let answer = client.v3_filtered(&server, &filter).await;
    let summary = &answer["rooms"]["join"][&room_id]["summary"];
    assert_eq!(
        summary["m.heroes"],
        json!(["@bob:test"]),
        "the name is gone, and the client may know no hero"
    );
    assert_eq!(members(&answer), ["m.room.member/@alice:test", "m.room.member/@bob:test"]);
}

#[tokio::test(start_paused = true)]
async fn messages_between_devices_stay_until_the_next_token_acknowledges_them() {
    let server = Server::new();
    let mut client = server.client(alice());
    client.v3(&server).await;
    for n in 0..101 {
        server.to_device(alice(), &n.to_string()).await;
    }
    let answer = client.v3(&server).await;
    let first = answer["to_device"]["events"].as_array().unwrap().clone();
    assert_eq!(first.len(), 100);
    assert_eq!(first[0]["content"]["body"], "0");
    assert_eq!(first[0]["sender"], "@bob:test");
    let before = server.inboxes.acknowledged.load(Ordering::SeqCst);
    let answer = client.v3(&server).await;
    assert!(server.inboxes.acknowledged.load(Ordering::SeqCst) > before);
    let rest = answer["to_device"]["events"].as_array().unwrap();
    assert_eq!(
        rest.iter().map(|event| event["content"]["body"].as_str().unwrap()).collect::<Vec<_>>(),
        ["100"]
    );
}

#[tokio::test(start_paused = true)]
async fn sliding_sync_acknowledges_by_its_own_token_and_tells_whose_devices_changed() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    server.world.member(room, bob(), bob(), Membership::Join).await;
    server.to_device(alice(), "key").await;
    let ask = |since: Option<&str>| {
        json!({ "conn_id": "encryption", "extensions": {
            "to_device": { "enabled": true, "since": since }, "e2ee": { "enabled": true },
        } })
    };
    let mut client = server.client(alice());
    let answer = client.slide(&server, ask(None)).await["extensions"].clone();
    assert_eq!(answer["to_device"]["events"][0]["content"]["body"], "key");
    assert_eq!(answer["e2ee"].get("device_lists"), None, "a first answer has no changes");
    assert_eq!(answer["e2ee"]["device_unused_fallback_key_types"], json!([]));
    let token = answer["to_device"]["next_batch"].as_str().unwrap().to_owned();
    server.devices_changed(bob()).await;
    server.devices_changed(user_id!("@stranger:test")).await;
    let answer = client.slide(&server, ask(Some(&token))).await["extensions"].clone();
    assert_eq!(answer["to_device"]["events"], json!([]));
    assert_eq!(answer["to_device"]["next_batch"], token.as_str());
    assert!(server.inboxes.acknowledged.load(Ordering::SeqCst) > 0);
    assert_eq!(answer["e2ee"]["device_lists"], json!({ "changed": ["@bob:test"], "left": [] }));
    assert!(client.try_slide(&server, ask(Some("d2_7")), 0).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_waiting_sync_is_woken_by_a_message_a_receipt_and_typing() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    let event = server.world.say(room, alice(), "read me").await;
    let mut client = server.client(alice());
    client.v3(&server).await;
    let patient = || V3Request { timeout: Some(Duration::from_secs(30)), ..V3Request::default() };
    let mut waiting = Box::pin(client.try_v3(&server, patient()));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    server.world.receipt(bob(), "m.read", "", &event).await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer["rooms"]["join"][&room_id]["ephemeral"]["events"][0]["type"], "m.receipt");
    let mut waiting = Box::pin(client.try_v3(&server, patient()));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    server.typing.set(room, &[bob()]);
    let answer = waiting.await.unwrap();
    assert_eq!(answer["rooms"]["join"][&room_id]["ephemeral"]["events"][0]["type"], "m.typing");
    let mut waiting = Box::pin(client.try_v3(&server, patient()));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    server.world.account_data(alice(), GLOBAL, "a.b", json!({})).await;
    assert_eq!(waiting.await.unwrap()["account_data"]["events"][0]["type"], "a.b");
    let idle = client.try_v3(&server, patient()).await.unwrap();
    assert_eq!(idle["rooms"], json!({}));
    let mut foreign = client.clone();
    foreign.since = Some("s72594_4483_1934".to_owned());
    assert!(matches!(foreign.try_v3(&server, patient()).await, Err(V3Error::Since(_))));
}
