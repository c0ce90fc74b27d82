use myelin_model::{RoomNid, Topic};
use myelin_store::schema::e2ee::{DeviceKeys, FallbackKey, OneTimeKey, OneTimeKeyCount, read};
use myelin_store::schema::rooms::Membership;

use crate::testing::{World, fallback_key};

#[tokio::test]
async fn a_removed_device_leaves_nothing_and_is_news_to_who_shares_a_room() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let bob = world.device("bob", "B1").await;
    world.member(7, "alice", Membership::Join).await;
    world.upload_device(&alice).await;
    world.upload_one_time_keys(&alice, &["a", "b"]).await;
    world.e2ee.upload_keys(&alice, &fallback_key("f")).await.unwrap();
    let before = world.position().await;
    let mut notices = world.engine.notices();
    world.log_out(&alice).await;
    assert!(world.all::<DeviceKeys>().await.is_empty());
    assert!(world.all::<OneTimeKey>().await.is_empty());
    assert!(world.all::<OneTimeKeyCount>().await.is_empty());
    assert!(world.all::<FallbackKey>().await.is_empty());
    assert!(world.query(&bob, "alice").await.device_keys[&alice.user_id].is_empty());
    let users = [alice.user_id.clone(), bob.user_id.clone()].into();
    let changed = read::device_lists_changed(&*world.snapshot().await, &users, before).await.unwrap();
    assert_eq!(changed, std::slice::from_ref(&alice.user_id));
    while !notices.recv().await.unwrap().topics.contains(&Topic::Room(RoomNid(7))) {}
}

#[tokio::test]
async fn a_new_name_is_news_and_several_changes_at_once_are_announced_once() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    world.member(7, "alice", Membership::Join).await;
    let mut notices = world.engine.notices();
    let mut batch = world.batch(&alice.user_id);
    for _ in 0..20 {
        world.e2ee.device_renamed(&mut batch, &alice.user_id, alice.device_id.as_ref().unwrap());
    }
    assert_eq!(world.e2ee.announcing.lock().unwrap().len(), 1);
    world.engine.commit(batch).await.unwrap();
    while !notices.recv().await.unwrap().topics.contains(&Topic::Room(RoomNid(7))) {}
    assert!(world.e2ee.announcing.lock().unwrap().is_empty());
}

#[tokio::test]
async fn changes_are_found_whether_many_or_few_users_are_asked_for() {
    let world = World::new(1);
    let mut devices = Vec::new();
    for n in 0..10 {
        devices.push(world.device(&format!("user{n}"), "D").await);
    }
    let before = world.position().await;
    for device in &devices[..6] {
        world.upload_device(device).await;
    }
    let snapshot = world.snapshot().await;
    for asked in 0..=10 {
        let users = devices[10 - asked..].iter().map(|device| device.user_id.clone()).collect();
        let mut changed = read::device_lists_changed(&*snapshot, &users, before).await.unwrap();
        changed.sort();
        let expected: Vec<_> = devices[10 - asked..].iter().take(asked.saturating_sub(4)).collect();
        assert_eq!(changed, expected.iter().map(|device| device.user_id.clone()).collect::<Vec<_>>());
        let none = read::device_lists_changed(&*snapshot, &users, snapshot.position()).await.unwrap();
        assert!(none.is_empty());
    }
}
