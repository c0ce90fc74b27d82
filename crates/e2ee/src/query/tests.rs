use std::collections::BTreeMap;

use ruma::UserId;
use serde_json::json;

use crate::testing::{Identity3, World, parse, raw, signed, user};
use crate::{CrossSigningUpload, Reauthenticated};

#[tokio::test]
async fn a_device_is_shown_as_uploaded_with_its_name() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    world.device("alice", "KEYLESS").await;
    let key = world.upload_device(&alice).await;
    let found = world.query(&bob, "alice").await;
    let devices = &found.device_keys[&alice.user_id];
    assert_eq!(devices.len(), 1, "a device without keys is not shown");
    let device = parse(&devices.values().next().unwrap()[..]);
    assert_eq!(device["unsigned"], json!({ "device_display_name": "alice's A1" }));
    assert_eq!(device["keys"]["ed25519:A1"], key.verifying_key().to_base64());
    assert!(device["signatures"]["@alice:here.test"]["ed25519:A1"].is_string());
}

#[tokio::test]
async fn named_devices_only_and_remote_servers_fail() {
    let world = World::new(1);
    let (one, two) = (world.device("alice", "A1").await, world.device("alice", "A2").await);
    world.upload_device(&one).await;
    world.upload_device(&two).await;
    let remote = UserId::parse("@far:there.test").unwrap();
    let wanted = BTreeMap::from([
        (one.user_id.clone(), vec!["A2".into(), "NONE".into()]),
        (user("nobody"), vec![]),
        (remote.clone(), vec![]),
    ]);
    let found = world.e2ee.query_keys(&one, &wanted).await.unwrap();
    let devices: Vec<_> = found.device_keys[&one.user_id].keys().map(|id| id.as_str()).collect();
    assert_eq!(devices, ["A2"]);
    assert!(found.device_keys[&user("nobody")].is_empty(), "clients learn that there is no device");
    assert!(!found.device_keys.contains_key(&remote));
    assert!(found.unreachable.iter().any(|server| server.as_str() == "there.test"));
}

#[tokio::test]
async fn a_user_signing_key_is_shown_to_its_owner_only() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    world.cross_sign(&alice).await;
    let own = world.query(&alice, "alice").await;
    assert!(own.user_signing_keys.contains_key(&alice.user_id));
    let others = world.query(&bob, "alice").await;
    assert!(others.user_signing_keys.is_empty());
    assert!(others.master_keys.contains_key(&alice.user_id));
    assert!(others.self_signing_keys.contains_key(&alice.user_id));
}

#[tokio::test]
async fn many_users_are_found_in_one_request() {
    let world = World::new(1);
    let mut wanted = BTreeMap::new();
    for n in 0..450 {
        let of = world.device(&format!("user{n}"), "D").await;
        world.upload_device(&of).await;
        wanted.insert(of.user_id, vec![]);
    }
    let me = world.device("me", "D").await;
    let found = world.e2ee.query_keys(&me, &wanted).await.unwrap();
    assert_eq!(found.device_keys.values().map(BTreeMap::len).sum::<usize>(), 450);
}

#[tokio::test]
async fn of_signatures_that_came_with_a_master_key_only_the_owners_are_shown() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    let device = world.upload_device(&alice).await;
    let identity = Identity3::new(&world, "alice");
    let third = signed(&identity.master_key(), &user("carol"), &identity.user_signing);
    let master = signed(&third, &alice.user_id, &device);
    let upload = CrossSigningUpload { master_key: Some(raw(&master)), ..identity.upload() };
    world.e2ee.upload_cross_signing_keys(&alice, &upload, Reauthenticated::No).await.unwrap();
    let seen = parse(&world.query(&bob, "alice").await.master_keys[&alice.user_id]);
    let signers: Vec<_> = seen["signatures"].as_object().unwrap().keys().collect();
    assert_eq!(signers, ["@alice:here.test"]);
}
