use myelin_store::schema::e2ee::{CrossSigningKey, KeySignature, KeyUsage, read};

use super::{CrossSigningError, CrossSigningUpload, Reauthenticated, Reauthentication};
use crate::testing::{Identity3, World, parse, raw, signed};

#[tokio::test]
async fn the_first_keys_and_the_same_keys_need_no_password_but_others_do() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let (first, second) = (Identity3::new(&world, "alice"), Identity3::new(&world, "alice"));
    let need = async |upload: CrossSigningUpload| {
        world.e2ee.cross_signing_reauthentication(&alice, &upload).await.expect("well-formed keys")
    };
    assert_eq!(need(first.upload()).await, Reauthentication::NotNeeded);
    world.e2ee.upload_cross_signing_keys(&alice, &first.upload(), Reauthenticated::No).await.unwrap();
    assert_eq!(need(first.upload()).await, Reauthentication::NotNeeded);
    assert_eq!(need(second.upload()).await, Reauthentication::Needed);

    let mut mixed = first.upload();
    mixed.self_signing_key =
        Some(raw(&signed(&first.key("self_signing", &second.self_signing), &alice.user_id, &first.master)));
    assert_eq!(need(mixed).await, Reauthentication::Needed, "one new key is enough");

    let error = world.e2ee.upload_cross_signing_keys(&alice, &second.upload(), Reauthenticated::No).await;
    assert!(matches!(error, Err(CrossSigningError::NeedsReauthentication)));
    world.e2ee.upload_cross_signing_keys(&alice, &second.upload(), Reauthenticated::Yes).await.unwrap();
}

#[tokio::test]
async fn repeating_an_upload_changes_nothing() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let identity = world.cross_sign(&alice).await;
    let position = world.position().await;
    world.e2ee.upload_cross_signing_keys(&alice, &identity.upload(), Reauthenticated::No).await.unwrap();
    assert_eq!(world.position().await, position);
}

#[tokio::test]
async fn keys_that_the_master_key_did_not_sign_are_refused() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let (identity, other) = (Identity3::new(&world, "alice"), Identity3::new(&world, "alice"));
    let unsigned = identity.key("self_signing", &identity.self_signing);
    let by_other = signed(&unsigned, &alice.user_id, &other.master);
    let mut altered = signed(&unsigned, &alice.user_id, &identity.master);
    altered["usage"] = serde_json::json!(["self_signing", "user_signing"]);
    for key in [unsigned, by_other, altered] {
        let upload = CrossSigningUpload { self_signing_key: Some(raw(&key)), ..identity.upload() };
        let error =
            world.e2ee.upload_cross_signing_keys(&alice, &upload, Reauthenticated::Yes).await.unwrap_err();
        assert!(matches!(error, CrossSigningError::InvalidSignature(KeyUsage::SelfSigning)), "{error}");
    }
    assert!(world.all::<CrossSigningKey>().await.is_empty());
}

#[tokio::test]
async fn other_keys_without_a_master_key_are_refused() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let identity = Identity3::new(&world, "alice");
    let upload = CrossSigningUpload { master_key: None, ..identity.upload() };
    let error = world.e2ee.upload_cross_signing_keys(&alice, &upload, Reauthenticated::No).await.unwrap_err();
    assert!(matches!(error, CrossSigningError::NoMasterKey), "{error}");
    // With the master key here already, they may come alone.
    let master = CrossSigningUpload { master_key: upload_of(&identity), ..CrossSigningUpload::default() };
    world.e2ee.upload_cross_signing_keys(&alice, &master, Reauthenticated::No).await.unwrap();
    world.e2ee.upload_cross_signing_keys(&alice, &upload, Reauthenticated::Yes).await.unwrap();
}

fn upload_of(identity: &Identity3) -> Option<Box<serde_json::value::RawValue>> {
    identity.upload().master_key
}

#[tokio::test]
async fn a_key_may_not_have_the_id_of_a_device() {
    let world = World::new(1);
    let identity = Identity3::new(&world, "alice");
    let alice = world.device("alice", &identity.master_id()).await;
    let error = world.e2ee.upload_cross_signing_keys(&alice, &identity.upload(), Reauthenticated::No).await;
    assert!(matches!(error, Err(CrossSigningError::IdInUse(KeyUsage::Master))));
}

#[tokio::test]
async fn keys_of_a_wrong_form_are_refused() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let identity = Identity3::new(&world, "alice");
    let good = identity.master_key();
    let change = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut key = good.clone();
        change(&mut key);
        key
    };
    for key in [
        change(&|key| key["user_id"] = "@bob:here.test".into()),
        change(&|key| key["usage"] = serde_json::json!(["self_signing"])),
        change(&|key| key["keys"]["ed25519:more"] = "more".into()),
        change(&|key| key["keys"] = serde_json::json!({ "ed25519:a": "b" })),
        change(&|key| key["keys"] = serde_json::json!({ "ed25519:short": "short" })),
        change(&|key| key["keys"] = serde_json::json!({})),
    ] {
        let upload = CrossSigningUpload { master_key: Some(raw(&key)), ..CrossSigningUpload::default() };
        let result = world.e2ee.upload_cross_signing_keys(&alice, &upload, Reauthenticated::No).await;
        assert!(result.is_err(), "{key}");
    }
}

#[tokio::test]
async fn a_new_master_key_ends_what_the_old_one_vouched_for() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let device_key = world.upload_device(&alice).await;
    let old = world.cross_sign(&alice).await;
    let signed_master = signed(&old.master_key(), &alice.user_id, &device_key);
    let uploads = [(alice.user_id.clone(), [(old.master_id(), raw(&signed_master))].into())].into();
    assert!(world.e2ee.upload_signatures(&alice, &uploads).await.unwrap().is_empty());
    let before = world.position().await;

    let new = Identity3::new(&world, "alice");
    let master = CrossSigningUpload { master_key: upload_of(&new), ..CrossSigningUpload::default() };
    world.e2ee.upload_cross_signing_keys(&alice, &master, Reauthenticated::Yes).await.unwrap();
    assert!(world.all::<KeySignature>().await.is_empty());
    let found = world.query(&alice, "alice").await;
    assert_eq!(parse(&found.master_keys[&alice.user_id])["keys"], new.master_key()["keys"]);
    assert!(found.self_signing_keys.is_empty() && found.user_signing_keys.is_empty());
    let users = [alice.user_id.clone()].into();
    let changed = read::device_lists_changed(&*world.snapshot().await, &users, before).await.unwrap();
    assert_eq!(changed, [alice.user_id]);
}
