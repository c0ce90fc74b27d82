use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use myelin_model::Pos;
use myelin_store::memory::MemoryEngine;
use myelin_store::schema::e2ee::{ClaimedKey, OneTimeKey, OneTimeKeyCount, read};
use myelin_store::{Engine, Identity};

use super::REMEMBERED;
use crate::testing::{Interruptible, SERVER, World, claim, fallback_key};

#[tokio::test]
async fn keys_are_handed_out_in_the_order_of_their_upload() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    for id in ["z", "m", "a", "q"] {
        world.upload_one_time_keys(&alice, &[id]).await;
    }
    for id in ["z", "m", "a", "q"] {
        assert_eq!(world.claim(&alice).await.unwrap().id, format!("signed_curve25519:{id}"));
    }
    assert_eq!(world.claim(&alice).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crowd_never_gets_the_same_key_twice() {
    let world = World::new(2);
    let alice = world.device("alice", "A1").await;
    let ids: Vec<String> = (0..80).map(|n| format!("k{n}")).collect();
    for id in &ids {
        world.upload_one_time_keys(&alice, &[id]).await;
    }
    world.e2ee.upload_keys(&alice, &fallback_key("f")).await.unwrap();
    let claims: Vec<_> = (0..100)
        .map(|_| {
            let (e2ee, alice) = (Arc::clone(&world.e2ee), alice.clone());
            tokio::spawn(async move { claim(&e2ee, &alice).await.unwrap().unwrap().id })
        })
        .collect();
    let mut seen = BTreeMap::<String, u32>::new();
    for claim in claims {
        *seen.entry(claim.await.unwrap()).or_default() += 1;
    }
    assert_eq!(seen.remove("signed_curve25519:f"), Some(20), "who came late got the fallback key");
    assert_eq!(seen.len(), 80);
    assert!(seen.values().all(|times| *times == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_hand_out_the_same_key() {
    let engine: Arc<dyn Engine> =
        Arc::new(Interruptible(MemoryEngine::new(&Identity { server_name: SERVER.to_owned() })));
    let one = World::over(Arc::clone(&engine), 3);
    // Without the other's turns, only the expectations of the batches keep them apart.
    let other = World::over(engine, 4);
    let alice = one.device("alice", "A1").await;
    let ids: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
    one.upload_one_time_keys(&alice, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let claims: Vec<_> = (0..40)
        .map(|n| {
            let e2ee = Arc::clone(if n % 2 == 0 { &one.e2ee } else { &other.e2ee });
            let alice = alice.clone();
            tokio::spawn(async move { claim(&e2ee, &alice).await })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for claim in claims {
        if let Ok(Some(key)) = claim.await.unwrap() {
            assert!(seen.insert(key.id));
        }
    }
    assert!(!seen.is_empty());
}

#[tokio::test]
async fn a_claim_that_is_cut_off_uses_a_key_up_or_leaves_it() {
    let memory = MemoryEngine::new(&Identity { server_name: SERVER.to_owned() });
    let world = World::over(Arc::new(Interruptible(memory)), 5);
    let alice = world.device("alice", "A1").await;
    let ids: Vec<String> = (0..200).map(|n| format!("k{n}")).collect();
    world.upload_one_time_keys(&alice, &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut answered = BTreeSet::new();
    let mut cut = 0;
    for _ in 0..300 {
        let (e2ee, alice) = (Arc::clone(&world.e2ee), alice.clone());
        let task = tokio::spawn(async move { claim(&e2ee, &alice).await });
        for _ in 0..world.random.below(8) {
            tokio::task::yield_now().await;
        }
        task.abort();
        match task.await {
            Ok(key) => assert!(key.unwrap().is_none_or(|key| answered.insert(key.id)), "handed out twice"),
            Err(_) => cut += 1,
        }
    }
    assert!(cut > 20 && answered.len() > 20, "both happen: {cut} were cut off, {} answered", answered.len());
    let left = world.all::<OneTimeKey>().await.len();
    assert!(answered.len() + left <= 200);
    assert_eq!(world.all::<ClaimedKey>().await.len(), 200 - left);
    assert_eq!(world.all::<OneTimeKeyCount>().await[0].unclaimed, i64::try_from(left).unwrap());
}

#[tokio::test]
async fn a_fallback_key_is_marked_used_until_another_comes() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let unused = async || {
        let snapshot = world.snapshot().await;
        let device = alice.device_id.as_ref().unwrap();
        read::unused_fallback_key_types(&*snapshot, &alice.user_id, device).await.unwrap()
    };
    world.e2ee.upload_keys(&alice, &fallback_key("f")).await.unwrap();
    assert_eq!(unused().await, ["signed_curve25519"]);
    let first = world.claim(&alice).await.unwrap();
    assert_eq!(first.id, "signed_curve25519:f");
    assert!(unused().await.is_empty());
    assert_eq!(world.claim(&alice).await.unwrap(), first, "it is handed out again and again");
    world.e2ee.upload_keys(&alice, &fallback_key("f")).await.unwrap();
    assert!(unused().await.is_empty(), "the same key once more is still used");
    world.e2ee.upload_keys(&alice, &fallback_key("g")).await.unwrap();
    assert_eq!(unused().await, ["signed_curve25519"]);
    assert_eq!(world.claim(&alice).await.unwrap().id, "signed_curve25519:g");
}

#[tokio::test]
async fn the_counts_follow_and_stay_for_an_algorithm_that_ran_out() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    world.upload_one_time_keys(&alice, &["a", "b"]).await;
    let counts = async || {
        let snapshot = world.snapshot().await;
        let device = alice.device_id.as_ref().unwrap();
        read::one_time_key_counts(&*snapshot, &alice.user_id, device).await.unwrap()["signed_curve25519"]
    };
    assert_eq!(counts().await, 2);
    world.claim(&alice).await.unwrap();
    assert_eq!(counts().await, 1);
    world.claim(&alice).await.unwrap();
    assert_eq!(counts().await, 0);
}

#[tokio::test]
async fn many_users_are_claimed_from_at_once_and_remote_ones_are_unreachable() {
    let world = World::new(1);
    let mut wanted = BTreeMap::new();
    for n in 0..150 {
        let of = world.device(&format!("user{n}"), "D").await;
        world.upload_one_time_keys(&of, &["a"]).await;
        wanted.insert(of.user_id, BTreeMap::from([("D".into(), "signed_curve25519".to_owned())]));
    }
    let remote = ruma::UserId::parse("@far:there.test").unwrap();
    wanted.insert(remote, BTreeMap::from([("D".into(), "signed_curve25519".to_owned())]));
    let claimed = world.e2ee.claim_keys(wanted).await.unwrap();
    assert_eq!(claimed.one_time_keys.len(), 150);
    assert_eq!(claimed.unreachable.iter().map(|s| s.as_str()).collect::<Vec<_>>(), ["there.test"]);
}

#[tokio::test]
async fn the_memory_of_claimed_keys_is_bounded() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    world.upload_one_time_keys(&alice, &["a"]).await;
    let mut batch = world.batch(&alice.user_id);
    let (user_id, device_id) = (alice.user_id.clone(), alice.device_id.clone().unwrap());
    let algorithm = "signed_curve25519".to_owned();
    for n in 0..REMEMBERED {
        batch.put(&ClaimedKey {
            user_id: user_id.clone(),
            device_id: device_id.clone(),
            algorithm: algorithm.clone(),
            key_id: format!("old{n}"),
            public_key: String::new(),
            claimed: Pos::new(1 + n),
        });
    }
    batch.put(&OneTimeKeyCount { user_id, device_id, algorithm, unclaimed: 1, remembered: REMEMBERED });
    world.engine.commit(batch).await.unwrap();
    world.claim(&alice).await.unwrap();
    let kept = world.all::<ClaimedKey>().await;
    assert_eq!(kept.len() as i64, REMEMBERED - 1);
    assert!(kept.iter().all(|key| key.key_id != "old0" && key.key_id != "old1"), "the oldest went");
    assert_eq!(world.all::<OneTimeKeyCount>().await[0].remembered, REMEMBERED - 1);
}
