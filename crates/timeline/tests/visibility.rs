//! Who may see what of a room's history.

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Event, Membership};
use myelin_timeline::testing::{Draft, World};
use myelin_timeline::{View, Viewer, views, visible};
use ruma::{UserId, user_id};
use serde_json::json;

fn alice() -> &'static UserId {
    user_id!("@alice:test")
}

fn bob() -> &'static UserId {
    user_id!("@bob:test")
}

fn viewer(user: &UserId) -> Viewer {
    Viewer { user_id: user.to_owned(), session: None, now: 0 }
}

/// The bodies of the messages of the room that the user sees.
async fn seen(world: &World, room: RoomNid, user: &UserId) -> Vec<String> {
    let snapshot = world.snapshot().await;
    let events = world.timeline(room).await;
    let visible = visible(&*snapshot, &viewer(user), &events).await.expect("the store can be read");
    let contents = myelin_timeline::contents(&*snapshot, &events.iter().map(|e| e.event).collect::<Vec<_>>())
        .await
        .expect("the store can be read");
    events
        .iter()
        .zip(visible)
        .filter(|(event, visible)| *visible && event.kind == "m.room.message")
        .map(|(event, _)| {
            let pdu: serde_json::Value = serde_json::from_slice(&contents[&event.event]).expect("JSON");
            pdu["content"]["body"].as_str().expect("a body").to_owned()
        })
        .collect()
}

/// A room where something is said while Bob is nobody, invited, joined, and gone.
async fn story(visibility: &str) -> (World, RoomNid) {
    let world = World::new();
    let room = world.room(alice(), visibility).await;
    world.say(room, alice(), "before").await;
    world.member(room, alice(), bob(), Membership::Invite).await;
    world.say(room, alice(), "invited").await;
    world.member(room, bob(), bob(), Membership::Join).await;
    world.say(room, alice(), "joined").await;
    world.member(room, bob(), bob(), Membership::Leave).await;
    world.say(room, alice(), "gone").await;
    (world, room)
}

async fn check(visibility: &str, expected: &[&str]) {
    let (world, room) = story(visibility).await;
    assert_eq!(seen(&world, room, bob()).await, expected, "{visibility}");
    assert_eq!(seen(&world, room, alice()).await, ["before", "invited", "joined", "gone"], "{visibility}");
}

#[tokio::test]
async fn each_visibility_shows_what_it_says_to_one_who_came_and_went() {
    check("joined", &["joined"]).await;
    check("invited", &["invited", "joined"]).await;
    check("shared", &["before", "invited", "joined"]).await;
    check("world_readable", &["before", "invited", "joined", "gone"]).await;
    check("of a kind nobody knows, which means shared", &["before", "invited", "joined"]).await;
}

#[tokio::test]
async fn a_stranger_sees_only_what_the_world_may_read() {
    let (world, room) = story("shared").await;
    let carol = user_id!("@carol:test");
    assert!(seen(&world, room, carol).await.is_empty());
    let open = json!({ "history_visibility": "world_readable" });
    world.send(Draft::state(room, alice(), "m.room.history_visibility", "", open)).await;
    world.say(room, alice(), "open").await;
    assert_eq!(seen(&world, room, carol).await, ["open"]);
}

#[tokio::test]
async fn coming_back_does_not_show_what_was_said_meanwhile_where_only_members_may_see() {
    let (world, room) = story("joined").await;
    world.member(room, alice(), bob(), Membership::Invite).await;
    world.member(room, bob(), bob(), Membership::Join).await;
    world.say(room, alice(), "back").await;
    assert_eq!(seen(&world, room, bob()).await, ["joined", "back"]);
}

#[tokio::test]
async fn a_change_of_the_display_name_does_not_hide_what_came_before_it() {
    let (world, room) = story("joined").await;
    world.member(room, bob(), bob(), Membership::Join).await;
    world.say(room, alice(), "first").await;
    world.member(room, bob(), bob(), Membership::Join).await;
    world.say(room, alice(), "second").await;
    assert_eq!(seen(&world, room, bob()).await, ["joined", "first", "second"]);
}

#[tokio::test]
async fn messages_of_ignored_senders_are_left_out_and_their_state_is_not() {
    let (world, room) = story("shared").await;
    world.say(room, bob(), "psst").await;
    world.ignore(alice(), bob()).await;
    assert!(!seen(&world, room, alice()).await.contains(&"psst".to_owned()));
    let snapshot = world.snapshot().await;
    let events = world.timeline(room).await;
    let visible = visible(&*snapshot, &viewer(alice()), &events).await.unwrap();
    let state_shown =
        events.iter().zip(visible).filter(|(e, _)| e.state_key.is_some()).all(|(_, shown)| shown);
    assert!(state_shown);
}

#[tokio::test]
async fn an_event_knows_the_membership_at_its_time() {
    let (world, room) = story("world_readable").await;
    let events: Vec<Event> =
        world.timeline(room).await.into_iter().filter(|event| event.kind == "m.room.message").collect();
    let snapshot = world.snapshot().await;
    let views = views(&*snapshot, &viewer(bob()), &events).await.unwrap();
    let memberships: Vec<Membership> = views.iter().map(|view: &View| view.membership).collect();
    assert_eq!(memberships, [Membership::Leave, Membership::Invite, Membership::Join, Membership::Leave]);
}
