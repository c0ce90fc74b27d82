use std::collections::BTreeSet;

use myelin_store::schema::rooms::Membership::{Ban, Join, Leave};
use ruma::OwnedUserId;

use crate::testing::{World, user};

fn users(names: &[&str]) -> BTreeSet<OwnedUserId> {
    names.iter().map(|name| user(name)).collect()
}

#[tokio::test]
async fn changes_of_who_shares_a_room_are_told_and_no_others() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    for (room, name) in [(1, "alice"), (1, "bob"), (1, "carol"), (2, "dave")] {
        world.member(room, name, Join).await;
    }
    let early = world.device("carol", "C1").await;
    world.upload_device(&early).await;
    let from = world.position().await;
    for name in ["bob", "dave", "alice"] {
        let device = world.device(name, "D").await;
        world.upload_device(&device).await;
    }
    let changes = world.e2ee.key_changes(&alice, from).await.unwrap();
    assert_eq!(changes.changed, users(&["alice", "bob"]));
    assert!(changes.left.is_empty());
    let now = world.position().await;
    assert_eq!(world.e2ee.key_changes(&alice, now).await.unwrap(), Default::default());
}

#[tokio::test]
async fn who_came_is_changed_and_who_went_has_left() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    for (room, name) in [
        (1, "alice"),
        (1, "bob"),
        (1, "carol"),
        (1, "dave"),
        (1, "erin"),
        (2, "alice"),
        (2, "carol"),
        (3, "alice"),
        (3, "frank"),
        (4, "grace"),
    ] {
        world.member(room, name, Join).await;
    }
    let from = world.position().await;
    world.member(1, "bob", Leave).await;
    world.member(1, "carol", Leave).await; // still shares room 2
    world.member(1, "dave", Ban).await;
    world.member(1, "erin", Join).await; // a new display name
    world.member(1, "henry", Join).await;
    world.member(3, "alice", Leave).await;
    world.member(4, "alice", Join).await;
    let changes = world.e2ee.key_changes(&alice, from).await.unwrap();
    assert_eq!(changes.left, users(&["bob", "dave", "frank"]));
    let mut changed = changes.changed;
    changed.remove(&user("alice"));
    assert_eq!(changed, users(&["grace", "henry"]));
}
