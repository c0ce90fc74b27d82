//! The promises that need a disk, on the engine that has one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use myelin_model::Pos;
use myelin_store::schema::e2ee::read;
use myelin_store::{Engine, Identity};
use myelin_store_sql::{SqliteEngine, SqliteOptions};
use tempfile::TempDir;

use crate::testing::{SERVER, World, claim, one_time_keys};
use crate::{BackupScope, DeviceTarget, Messages, NewBackup, SessionUpload};

fn open(folder: &Path, seed: u64) -> World {
    let identity = Identity { server_name: SERVER.to_owned() };
    let options = SqliteOptions::default();
    let engine: Arc<dyn Engine> =
        Arc::new(SqliteEngine::open(&folder.join("store.db"), &identity, options).unwrap());
    World::over(engine, seed)
}

#[tokio::test]
async fn after_a_restart_everything_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let world = open(folder.path(), 1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    world.upload_device(&alice).await;
    for id in ["c", "b", "a", "d"] {
        world.upload_one_time_keys(&alice, &[id]).await;
    }
    assert_eq!(world.claim(&alice).await.unwrap().id, "signed_curve25519:c");
    let target = BTreeMap::from([(DeviceTarget::All, "{\"n\":1}".into())]);
    let messages = Messages::from([(alice.user_id.clone(), target)]);
    for txn_id in ["one", "two"] {
        world.e2ee.send_to_device(&bob, "m.test", txn_id, &messages).await.unwrap();
    }
    world.engine.close().await;
    drop(world);

    let world = open(folder.path(), 2);
    world.e2ee.send_to_device(&bob, "m.test", "two", &messages).await.unwrap();
    let device = alice.device_id.clone().unwrap();
    let inbox =
        read::to_device(&*world.snapshot().await, &alice.user_id, &device, Pos::ZERO, 100).await.unwrap();
    assert_eq!(inbox.len(), 2, "the repeated request made no duplicate");
    world.e2ee.acknowledge(&alice.user_id, &device, inbox[0].pos).await.unwrap();
    let left =
        read::to_device(&*world.snapshot().await, &alice.user_id, &device, Pos::ZERO, 100).await.unwrap();
    assert_eq!(left, inbox[1..]);
    let counts = world.e2ee.upload_keys(&alice, &one_time_keys(&["c", "b"])).await.unwrap();
    assert_eq!(counts["signed_curve25519"], 3, "the claimed key did not come back");
    for id in ["b", "a", "d"] {
        assert_eq!(world.claim(&alice).await.unwrap().id, format!("signed_curve25519:{id}"));
    }
    world.log_out(&alice).await;
    assert!(world.query(&bob, "alice").await.device_keys[&alice.user_id].is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_never_gets_the_same_key_twice() {
    let folder = TempDir::new().unwrap();
    let world = open(folder.path(), 1);
    let alice = world.device("alice", "A1").await;
    let ids: Vec<String> = (0..60).map(|n| format!("k{n}")).collect();
    world.upload_one_time_keys(&alice, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let claims: Vec<_> = (0..100)
        .map(|_| {
            let (e2ee, alice) = (Arc::clone(&world.e2ee), alice.clone());
            tokio::spawn(async move { claim(&e2ee, &alice).await.unwrap() })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for claim in claims {
        if let Some(key) = claim.await.unwrap() {
            assert!(seen.insert(key.id));
        }
    }
    assert_eq!(seen.len(), 60);
}

#[tokio::test]
async fn a_backup_of_many_sessions_is_restored_whole() {
    let folder = TempDir::new().unwrap();
    let world = open(folder.path(), 1);
    let alice = world.device("alice", "A1").await;
    let new = NewBackup { algorithm: "a".to_owned(), auth_data: "{}".into() };
    world.e2ee.create_backup(&alice, &new).await.unwrap();
    for part in 0..10 {
        let session = |n: i64| SessionUpload {
            room_id: format!("!room{}:here.test", n % 11).as_str().try_into().unwrap(),
            session_id: format!("{part}/{n}"),
            first_message_index: n,
            forwarded_count: 0,
            is_verified: true,
            session_data: format!("{{\"ciphertext\":\"{}\"}}", "x".repeat(500)).into(),
        };
        world.e2ee.store_sessions(&alice, "1", (0..1_000).map(session).collect()).await.unwrap();
    }
    let (mut found, mut cursor) = (0, None);
    loop {
        let page = world.e2ee.backup_page(&alice, "1", None, cursor.as_ref(), 700).await.unwrap();
        found += page.sessions.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, 10_000);
    let room = "!room3:here.test".try_into().unwrap();
    let state = world.e2ee.delete_sessions(&alice, "1", &BackupScope::Room(room)).await.unwrap();
    assert_eq!(state.count, 10_000 - 910);
    world.e2ee.delete_backup(&alice, "1").await.unwrap();
}
