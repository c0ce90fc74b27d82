use std::collections::BTreeMap;

use myelin_model::{Pos, Requester};
use myelin_store::schema::e2ee::read;
use ruma::OwnedUserId;
use serde_json::Value;

use super::{SignatureFailure, SignatureFailures};
use crate::testing::{Identity3, World, parse, raw, signed};

async fn upload(
    world: &World,
    by: &Requester,
    of: &OwnedUserId,
    key: &str,
    object: &Value,
) -> SignatureFailures {
    let signed = BTreeMap::from([(of.clone(), BTreeMap::from([(key.to_owned(), raw(object))]))]);
    world.e2ee.upload_signatures(by, &signed).await.unwrap()
}

/// The device as others see it, without what the server adds.
async fn device(world: &World, of: &Requester) -> Value {
    let found = world.query(of, of.user_id.localpart()).await;
    let mut device = parse(&found.device_keys[&of.user_id][of.device_id.as_ref().unwrap()]);
    device.as_object_mut().unwrap().remove("unsigned");
    device
}

#[tokio::test]
async fn everyone_sees_that_a_user_signed_a_device_of_their_own() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    world.upload_device(&alice).await;
    let identity = world.cross_sign(&alice).await;
    let before = world.position().await;
    let object = signed(&device(&world, &alice).await, &alice.user_id, &identity.self_signing);
    assert!(upload(&world, &alice, &alice.user_id, "A1", &object).await.is_empty());
    let seen = parse(
        &world.query(&bob, "alice").await.device_keys[&alice.user_id][alice.device_id.as_ref().unwrap()],
    );
    assert_eq!(seen["signatures"], object["signatures"], "both the device's own and the new one");
    let users = [alice.user_id.clone()].into();
    let changed = read::device_lists_changed(&*world.snapshot().await, &users, before).await.unwrap();
    assert_eq!(changed, [alice.user_id]);
}

#[tokio::test]
async fn a_signature_on_another_users_master_key_is_its_makers_alone() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    let carol = world.device("carol", "C1").await;
    let (alices, bobs) = (world.cross_sign(&alice).await, world.cross_sign(&bob).await);
    let before = world.position().await;
    let object = signed(&bobs.master_key(), &alice.user_id, &alices.user_signing);
    assert!(upload(&world, &alice, &bob.user_id, &bobs.master_id(), &object).await.is_empty());
    let seen_by =
        async |who| parse(&world.query(who, "bob").await.master_keys[&bob.user_id])["signatures"].clone();
    assert_eq!(seen_by(&alice).await, object["signatures"]);
    for other in [&bob, &carol] {
        assert!(seen_by(other).await.get("@alice:here.test").is_none());
    }
    let snapshot = world.snapshot().await;
    let news =
        async |who: &Requester| read::signed_users(&*snapshot, &who.user_id, before, 10).await.unwrap();
    assert_eq!(news(&alice).await, std::slice::from_ref(&bob.user_id));
    assert!(news(&bob).await.is_empty());
    let users = [alice.user_id.clone(), bob.user_id.clone()].into();
    let changed = read::device_lists_changed(&*snapshot, &users, before).await.unwrap();
    assert!(changed.is_empty(), "nobody else has anything to look up");
}

#[tokio::test]
async fn a_device_may_sign_its_users_master_key() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    let key = world.upload_device(&alice).await;
    let identity = world.cross_sign(&alice).await;
    let object = signed(&identity.master_key(), &alice.user_id, &key);
    assert!(upload(&world, &alice, &alice.user_id, &identity.master_id(), &object).await.is_empty());
    let seen = parse(&world.query(&bob, "alice").await.master_keys[&alice.user_id]);
    assert_eq!(seen["signatures"], object["signatures"]);
    // Another device of the same id has not signed it.
    world.log_out(&alice).await;
    let alice = world.device("alice", "A1").await;
    world.upload_device(&alice).await;
    let seen = parse(&world.query(&bob, "alice").await.master_keys[&alice.user_id]);
    assert!(seen["signatures"].get("@alice:here.test").is_none());
}

#[tokio::test]
async fn each_wrong_signature_fails_by_itself() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    world.upload_device(&alice).await;
    let (mine, bobs) = (world.cross_sign(&alice).await, world.cross_sign(&bob).await);
    let stranger = Identity3::new(&world, "alice");
    let good = device(&world, &alice).await;
    let mut other = good.clone();
    other["algorithms"] = serde_json::json!([]);
    let by = |object: &Value, key| raw(&signed(object, &alice.user_id, key));
    let cases = [
        ("A1", by(&good, &stranger.self_signing), SignatureFailure::InvalidSignature),
        ("A1", by(&good, &mine.user_signing), SignatureFailure::InvalidSignature),
        ("A1", by(&other, &mine.self_signing), SignatureFailure::OtherKey),
        ("A1", raw(&serde_json::json!([])), SignatureFailure::Malformed),
        ("NONE", by(&good, &mine.self_signing), SignatureFailure::UnknownKey),
    ];
    for (key, object, failure) in cases {
        let signed = BTreeMap::from([
            (alice.user_id.clone(), BTreeMap::from([(key.to_owned(), object)])),
            (
                bob.user_id.clone(),
                BTreeMap::from([(bobs.master_id(), by(&bobs.master_key(), &mine.user_signing))]),
            ),
        ]);
        let failures = world.e2ee.upload_signatures(&alice, &signed).await.unwrap();
        let expected = BTreeMap::from([(alice.user_id.clone(), BTreeMap::from([(key.to_owned(), failure)]))]);
        assert_eq!(failures, expected, "the signature on Bob's key is taken");
    }
    let tampered = {
        let mut object = signed(&good, &alice.user_id, &mine.self_signing);
        let key = format!("ed25519:{}", mine.self_signing.verifying_key().to_base64());
        object["signatures"]["@alice:here.test"][key] = "A".repeat(86).into();
        object
    };
    let failures = upload(&world, &alice, &alice.user_id, "A1", &tampered).await;
    assert_eq!(failures[&alice.user_id]["A1"], SignatureFailure::InvalidSignature);
    assert_ne!(world.position().await, Pos::ZERO);
}
