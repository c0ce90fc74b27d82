use myelin_model::{RoomNid, Topic};
use myelin_store::schema::e2ee::{DeviceKeys, DeviceListChange, OneTimeKey};
use myelin_store::schema::rooms::Membership;
use serde_json::json;

use super::{KeysUpload, MAX_ONE_TIME_KEYS, UploadError};
use crate::testing::{World, device_keys, fallback_key, key_object, one_time_keys, raw, user};

#[tokio::test]
async fn repeating_an_upload_changes_nothing() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let key = world.signing_key("ed25519:A1");
    let upload = KeysUpload { device_keys: Some(device_keys(&alice, &key)), ..one_time_keys(&["a", "b"]) };
    let counts = world.e2ee.upload_keys(&alice, &upload).await.unwrap();
    assert_eq!(counts["signed_curve25519"], 2);
    let position = world.position().await;
    assert_eq!(world.e2ee.upload_keys(&alice, &upload).await.unwrap(), counts);
    assert_eq!(world.position().await, position, "nothing was written");
    assert_eq!(world.all::<OneTimeKey>().await.len(), 2);
}

#[tokio::test]
async fn an_empty_upload_tells_the_counts() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let counts = world.e2ee.upload_keys(&alice, &KeysUpload::default()).await.unwrap();
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [("signed_curve25519".to_owned(), 0)]);
}

#[tokio::test]
async fn keys_of_another_user_or_device_are_refused() {
    let world = World::new(1);
    let (alice, other) = (world.device("alice", "A1").await, world.device("alice", "A2").await);
    let bob = world.device("bob", "A1").await;
    let key = world.signing_key("ed25519:A1");
    for stranger in [&other, &bob] {
        let upload = KeysUpload { device_keys: Some(device_keys(&alice, &key)), ..KeysUpload::default() };
        let error = world.e2ee.upload_keys(stranger, &upload).await.unwrap_err();
        assert!(matches!(error, UploadError::NotYours), "{error}");
    }
    assert!(world.all::<DeviceKeys>().await.is_empty());
}

#[tokio::test]
async fn a_device_that_gets_another_identity_loses_the_keys_of_the_old_one() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    world.upload_device(&alice).await;
    world.upload_one_time_keys(&alice, &["a", "b"]).await;
    let before = world.all::<DeviceKeys>().await.pop().unwrap();
    let other = world.signing_key("ed25519:A1");
    let upload = KeysUpload { device_keys: Some(device_keys(&alice, &other)), ..one_time_keys(&["a"]) };
    assert_eq!(world.e2ee.upload_keys(&alice, &upload).await.unwrap()["signed_curve25519"], 1);
    let after = world.all::<DeviceKeys>().await.pop().unwrap();
    assert_ne!(before.json, after.json);
    assert!(before.changed < after.changed, "those who share a room are told");
    assert_eq!(world.all::<OneTimeKey>().await.len(), 1);
}

#[tokio::test]
async fn another_key_under_the_same_id_is_an_error_that_shows_both() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    world.upload_one_time_keys(&alice, &["a"]).await;
    let mut upload = one_time_keys(&["b"]);
    upload.one_time_keys.insert("signed_curve25519:a".to_owned(), raw(&key_object("other")));
    let error = world.e2ee.upload_keys(&alice, &upload).await.unwrap_err();
    let expected = r#"One time key signed_curve25519:a already exists. Old key: {"key":"key a","signatures":{}}; new key: {"key":"other","signatures":{}}"#;
    assert_eq!(error.to_string(), expected);
    assert_eq!(world.all::<OneTimeKey>().await.len(), 1, "the other key was not taken either");
}

#[tokio::test]
async fn the_same_key_signed_once_more_is_the_same_key() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    world.upload_one_time_keys(&alice, &["a"]).await;
    let again = json!({ "key": "key a", "signatures": { "@alice:here.test": { "ed25519:A1": "other" } } });
    let mut upload = KeysUpload::default();
    upload.one_time_keys.insert("signed_curve25519:a".to_owned(), raw(&again));
    assert_eq!(world.e2ee.upload_keys(&alice, &upload).await.unwrap()["signed_curve25519"], 1);
}

#[tokio::test]
async fn a_claimed_key_can_not_come_back() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    world.upload_one_time_keys(&alice, &["a", "b"]).await;
    let claimed = world.claim(&alice).await.unwrap();
    // The client never saw the answer to its upload and repeats it.
    let counts = world.e2ee.upload_keys(&alice, &one_time_keys(&["a", "b"])).await.unwrap();
    assert_eq!(counts["signed_curve25519"], 1);
    assert_ne!(world.claim(&alice).await.unwrap(), claimed);
    assert_eq!(world.claim(&alice).await, None);
}

#[tokio::test]
async fn a_new_key_may_take_the_id_of_a_claimed_one() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    world.upload_one_time_keys(&alice, &["a"]).await;
    world.claim(&alice).await.unwrap();
    let mut upload = KeysUpload::default();
    upload.one_time_keys.insert("signed_curve25519:a".to_owned(), raw(&key_object("new")));
    assert_eq!(world.e2ee.upload_keys(&alice, &upload).await.unwrap()["signed_curve25519"], 1);
    world.claim(&alice).await.unwrap();
    let counts = world.all::<myelin_store::schema::e2ee::OneTimeKeyCount>().await;
    assert_eq!((counts[0].unclaimed, counts[0].remembered), (0, 1));
}

#[tokio::test]
async fn a_device_has_a_bounded_number_of_keys() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let ids: Vec<String> = (0..=MAX_ONE_TIME_KEYS).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let error = world.e2ee.upload_keys(&alice, &one_time_keys(&ids)).await.unwrap_err();
    assert!(matches!(error, UploadError::TooMany), "{error}");
    world.upload_one_time_keys(&alice, &ids[1..]).await;
}

#[tokio::test]
async fn keys_without_a_proper_form_are_refused() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    for (id, key) in [
        ("nocolon", json!("key")),
        ("a:", json!("key")),
        ("a:b", json!(5)),
        ("a:b", json!({ "signatures": {} })),
        ("a:b", json!({ "key": "x".repeat(2_000) })),
        ("a:b", json!({ "key": "x", "number": 1.5 })),
    ] {
        let mut upload = KeysUpload::default();
        upload.one_time_keys.insert(id.to_owned(), raw(&key));
        assert!(world.e2ee.upload_keys(&alice, &upload).await.is_err(), "{id} {key}");
    }
    let mut two = fallback_key("a");
    two.fallback_keys.extend(fallback_key("b").fallback_keys);
    assert!(world.e2ee.upload_keys(&alice, &two).await.is_err(), "two of one algorithm");
}

#[tokio::test]
async fn new_identity_keys_are_news_for_the_rooms_of_the_user() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    world.member(7, "alice", Membership::Join).await;
    world.member(8, "alice", Membership::Leave).await;
    let mut notices = world.engine.notices();
    world.upload_device(&alice).await;
    let topics = &notices.try_recv().unwrap().topics;
    assert!(
        topics.contains(&Topic::Room(RoomNid(7))) && topics.contains(&Topic::user(user("alice").as_str()))
    );
    assert!(!topics.contains(&Topic::Room(RoomNid(8))));
    assert_eq!(world.all::<DeviceListChange>().await[0].changed, world.position().await);
}

#[tokio::test]
async fn a_device_that_was_logged_out_leaves_no_keys() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    world.log_out(&alice).await;
    let error = world.e2ee.upload_keys(&alice, &one_time_keys(&["a"])).await.unwrap_err();
    assert!(matches!(error, UploadError::NoDevice), "{error}");
}
