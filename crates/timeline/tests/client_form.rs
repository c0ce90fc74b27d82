//! How events look to clients.

#![expect(clippy::unwrap_used, reason = "a failed read fails the test")]

use myelin_store::schema::rooms::{Event, Membership};
use myelin_timeline::testing::{Draft, World};
use myelin_timeline::{Format, Viewer, client_events, stripped_state};
use ruma::{UserId, user_id};
use serde_json::{Value, json};

fn alice() -> &'static UserId {
    user_id!("@alice:test")
}

fn bob() -> &'static UserId {
    user_id!("@bob:test")
}

async fn form(world: &World, viewer: &UserId, format: Format, event: &Event) -> Value {
    let viewer = Viewer { user_id: viewer.to_owned(), session: Some(7), now: 1_000_000 };
    let snapshot = world.snapshot().await;
    let current = myelin_timeline::load(&*snapshot, &[event.event]).await.unwrap();
    let forms = client_events(&*snapshot, &viewer, format, &current).await.unwrap();
    serde_json::from_str(forms[0].get()).unwrap()
}

fn edit(target: &Event, body: &str) -> Value {
    json!({
        "msgtype": "m.text", "body": format!("* {body}"), "m.new_content": { "msgtype": "m.text", "body": body },
        "m.relates_to": { "rel_type": "m.replace", "event_id": target.event_id },
    })
}

#[tokio::test]
async fn content_goes_out_as_it_came_in_and_only_the_sending_session_gets_its_transaction_id() {
    let world = World::new();
    let room = world.room(alice(), "shared").await;
    let content = json!({ "msgtype": "m.text", "body": "h\u{e9} \"q\"", "x": [1, {"y": null}] });
    let draft = Draft::message(room, alice(), "m.room.message", content.clone()).from_session(7, "txn");
    let event = world.send(draft).await;
    let form = form(&world, alice(), Format::CLIENT, &event).await;
    assert_eq!(form["content"], content);
    assert_eq!(form["room_id"], world.room_id(room).as_str());
    assert_eq!(form["unsigned"]["transaction_id"], "txn");
    assert_eq!(form["unsigned"]["membership"], "join");
    let snapshot = world.snapshot().await;
    let other = Viewer { user_id: alice().to_owned(), session: Some(8), now: 0 };
    let forms = client_events(&*snapshot, &other, Format::SYNC, &[event]).await.unwrap();
    let form: Value = serde_json::from_str(forms[0].get()).unwrap();
    assert_eq!(form["unsigned"].get("transaction_id"), None);
    assert_eq!(form.get("room_id"), None);
    assert_eq!(form["unsigned"]["age"], 0, "an age is never negative");
}

#[tokio::test]
async fn the_newest_edit_by_the_sender_is_bundled_and_nobody_elses() {
    let world = World::new();
    let room = world.room(alice(), "shared").await;
    world.member(room, bob(), bob(), Membership::Join).await;
    let event = world.say(room, alice(), "first").await;
    world.send(Draft::message(room, alice(), "m.room.message", edit(&event, "second"))).await;
    let third = world.send(Draft::message(room, alice(), "m.room.message", edit(&event, "third"))).await;
    world.send(Draft::message(room, bob(), "m.room.message", edit(&event, "forged"))).await;
    let shown = form(&world, bob(), Format::SYNC, &event).await;
    assert_eq!(shown["unsigned"]["m.relations"]["m.replace"]["content"]["m.new_content"]["body"], "third");
    let plain = form(&world, bob(), Format::SYNC_LIVE, &event).await;
    assert_eq!(plain["unsigned"].get("m.relations"), None);
    world.redact(alice(), &third).await;
    let shown = form(&world, bob(), Format::SYNC, &event).await;
    assert_eq!(shown["unsigned"]["m.relations"]["m.replace"]["content"]["m.new_content"]["body"], "second");
}

#[tokio::test]
async fn events_bundled_into_a_sync_say_their_room_so_that_an_encrypted_edit_can_be_decrypted() {
    let world = World::new();
    let room = world.room(alice(), "shared").await;
    let event = world.say(room, alice(), "first").await;
    world.send(Draft::message(room, alice(), "m.room.message", edit(&event, "second"))).await;
    let reply =
        json!({ "body": "reply", "m.relates_to": { "rel_type": "m.thread", "event_id": event.event_id } });
    world.send(Draft::message(room, alice(), "m.room.message", reply)).await;
    let form = form(&world, alice(), Format::SYNC, &event).await;
    assert_eq!(form.get("room_id"), None);
    let bundled = &form["unsigned"]["m.relations"];
    let room_id = world.room_id(room);
    assert_eq!(bundled["m.replace"]["room_id"], room_id.as_str());
    assert_eq!(bundled["m.thread"]["latest_event"]["room_id"], room_id.as_str());
}

#[tokio::test]
async fn a_thread_shows_its_count_its_latest_reply_as_edited_and_who_took_part() {
    let world = World::new();
    let room = world.room(alice(), "shared").await;
    world.member(room, bob(), bob(), Membership::Join).await;
    let root = world.say(room, alice(), "root").await;
    let relates = json!({ "rel_type": "m.thread", "event_id": root.event_id });
    let reply = json!({ "msgtype": "m.text", "body": "reply", "m.relates_to": relates });
    let reply = world.send(Draft::message(room, alice(), "m.room.message", reply)).await;
    world.send(Draft::message(room, alice(), "m.room.message", edit(&reply, "better"))).await;
    let thread =
        form(&world, bob(), Format::CLIENT, &root).await["unsigned"]["m.relations"]["m.thread"].clone();
    assert_eq!(thread["count"], 1);
    assert_eq!(thread["current_user_participated"], false);
    assert_eq!(thread["latest_event"]["event_id"], reply.event_id.as_str());
    let edit = &thread["latest_event"]["unsigned"]["m.relations"]["m.replace"];
    assert_eq!(edit["content"]["m.new_content"]["body"], "better");
    let thread =
        form(&world, alice(), Format::CLIENT, &root).await["unsigned"]["m.relations"]["m.thread"].clone();
    assert_eq!(thread["current_user_participated"], true);
}

#[tokio::test]
async fn a_redacted_event_says_why_and_a_redaction_says_what_in_both_places() {
    let world = World::new();
    let room = world.room(alice(), "shared").await;
    let event = world.say(room, alice(), "secret").await;
    let redaction = world.redact(alice(), &event).await;
    let shown = form(&world, alice(), Format::CLIENT, &event).await;
    assert_eq!(shown["content"], json!({}));
    let because = &shown["unsigned"]["redacted_because"];
    assert_eq!(because["event_id"], redaction.event_id.as_str());
    assert_eq!(because["redacts"], event.event_id.as_str());
    assert_eq!(because["content"]["redacts"], event.event_id.as_str());
}

#[tokio::test]
async fn changed_state_shows_what_it_replaced_only_to_those_who_saw_it() {
    let world = World::new();
    let room = world.room(alice(), "joined").await;
    world.send(Draft::state(room, alice(), "m.room.topic", "", json!({ "topic": "old" }))).await;
    world.member(room, bob(), bob(), Membership::Join).await;
    let event = world.send(Draft::state(room, alice(), "m.room.topic", "", json!({ "topic": "new" }))).await;
    let shown = form(&world, alice(), Format::SYNC_LIVE, &event).await;
    assert_eq!(shown["unsigned"]["prev_content"]["topic"], "old");
    let shown = form(&world, bob(), Format::SYNC_LIVE, &event).await;
    assert_eq!(shown["unsigned"].get("prev_content"), None);
}

#[tokio::test]
async fn an_invited_user_is_shown_the_room_and_who_invites() {
    let world = World::new();
    let room = world.room(alice(), "shared").await;
    world.send(Draft::state(room, alice(), "m.room.name", "", json!({ "name": "Den" }))).await;
    world.member(room, alice(), bob(), Membership::Invite).await;
    let snapshot = world.snapshot().await;
    let key = (room, bob().to_owned());
    let member = myelin_store::Reader::get::<myelin_store::schema::rooms::Member>(&*snapshot, &key);
    let member = member.await.unwrap().unwrap();
    let shown = stripped_state(&*snapshot, &[member]).await.unwrap().remove(0);
    let shown: Vec<Value> = shown.iter().map(|event| serde_json::from_str(event.get()).unwrap()).collect();
    let kinds: Vec<_> = shown.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["m.room.create", "m.room.name", "m.room.member", "m.room.member"]);
    assert_eq!(shown[2]["state_key"], alice().as_str());
    assert_eq!(shown[3]["content"]["membership"], "invite");
}

#[tokio::test]
async fn a_sticky_event_says_how_long_it_was_to_be_and_how_long_it_still_is() {
    let world = World::new();
    let room = world.room(alice(), "shared").await;
    let draft = |until| Draft::message(room, alice(), "org.example", json!({})).sticky(until, 60_000);
    let live = form(&world, bob(), Format::CLIENT, &world.send(draft(1_000_500)).await).await;
    assert_eq!(live["msc4354_sticky"], json!({ "duration_ms": 60_000 }));
    assert_eq!(live["unsigned"]["msc4354_sticky_duration_ttl_ms"], 500);
    assert_eq!((live.get("sticky"), live["unsigned"].get("sticky_duration_ttl_ms")), (None, None));
    let over = world.send(draft(1_000_000)).await;
    let form_of_over = form(&world, alice(), Format::SYNC_LIVE.with_stable_sticky(), &over).await;
    assert_eq!(form_of_over["sticky"], json!({ "duration_ms": 60_000 }));
    assert_eq!(form_of_over["unsigned"].get("sticky_duration_ttl_ms"), None);
    world.redact(alice(), &over).await;
    assert_eq!(form(&world, alice(), Format::CLIENT, &over).await.get("msc4354_sticky"), None);
}
