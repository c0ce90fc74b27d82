use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use myelin_model::{Pos, Requester};
use myelin_store::memory::MemoryEngine;
use myelin_store::schema::e2ee::{ToDevice, ToDeviceTransaction, read};
use myelin_store::{Engine, Identity};

use super::{DeviceTarget, Messages, SendError};
use crate::testing::{Interruptible, SERVER, World};

fn to(targets: &[(&Requester, &str)]) -> Messages {
    let mut messages = Messages::new();
    for (target, content) in targets {
        let device = DeviceTarget::One(target.device_id.clone().unwrap());
        messages.entry(target.user_id.clone()).or_default().insert(device, content.to_string().into());
    }
    messages
}

fn to_all(target: &Requester, content: impl Into<Bytes>) -> Messages {
    let all = BTreeMap::from([(DeviceTarget::All, content.into())]);
    BTreeMap::from([(target.user_id.clone(), all)])
}

impl World {
    async fn send(&self, by: &Requester, txn_id: &str, messages: &Messages) {
        self.e2ee.send_to_device(by, "m.test", txn_id, messages).await.unwrap();
    }

    async fn inbox(&self, of: &Requester, after: Pos) -> Vec<ToDevice> {
        let device = of.device_id.as_ref().unwrap();
        read::to_device(&*self.snapshot().await, &of.user_id, device, after, 100).await.unwrap()
    }

    async fn contents(&self, of: &Requester) -> Vec<String> {
        let inbox = self.inbox(of, Pos::ZERO).await;
        inbox.iter().map(|message| String::from_utf8(message.content.to_vec()).unwrap()).collect()
    }
}

#[tokio::test]
async fn messages_arrive_in_the_order_they_were_sent() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    for n in 0..10 {
        world.send(&alice, &format!("t{n}"), &to(&[(&bob, &format!("{{\"n\":{n}}}"))])).await;
    }
    let expected: Vec<_> = (0..10).map(|n| format!("{{\"n\":{n}}}")).collect();
    assert_eq!(world.contents(&bob).await, expected);
    let first = &world.inbox(&bob, Pos::ZERO).await[0];
    assert_eq!((&first.sender, first.kind.as_str()), (&alice.user_id, "m.test"));
}

#[tokio::test]
async fn a_star_reaches_every_device_and_a_named_device_its_own_message() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    let (one, two) = (world.device("bob", "B1").await, world.device("bob", "B2").await);
    let mut messages = to_all(&one, "{\"all\":1}");
    messages.get_mut(&one.user_id).unwrap().insert(DeviceTarget::One("B2".into()), "{\"own\":1}".into());
    world.send(&alice, "t", &messages).await;
    assert_eq!(world.contents(&one).await, ["{\"all\":1}"]);
    assert_eq!(world.contents(&two).await, ["{\"own\":1}"]);
}

#[tokio::test]
async fn a_repeated_request_makes_no_duplicate_even_after_a_restart() {
    let engine: Arc<dyn Engine> = Arc::new(MemoryEngine::new(&Identity { server_name: SERVER.to_owned() }));
    let world = World::over(Arc::clone(&engine), 1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    world.send(&alice, "t", &to(&[(&bob, "{}")])).await;
    world.send(&alice, "t", &to(&[(&bob, "{}")])).await;
    let restarted = World::over(engine, 2);
    restarted.send(&alice, "t", &to(&[(&bob, "{}")])).await;
    assert_eq!(restarted.contents(&bob).await.len(), 1);
    let other_session = Requester { session: alice.session + 100, ..alice };
    restarted.send(&other_session, "t", &to(&[(&bob, "{}")])).await;
    assert_eq!(restarted.contents(&bob).await.len(), 2, "another session's ids are its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn repetitions_at_the_same_time_make_no_duplicate() {
    let world = World::over(
        Arc::new(Interruptible(MemoryEngine::new(&Identity { server_name: SERVER.to_owned() }))),
        1,
    );
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    let messages = Arc::new(to(&[(&bob, "{}")]));
    let sends: Vec<_> = (0..20)
        .map(|_| {
            let (e2ee, alice, messages) = (Arc::clone(&world.e2ee), alice.clone(), Arc::clone(&messages));
            tokio::spawn(async move { e2ee.send_to_device(&alice, "m.test", "t", &messages).await })
        })
        .collect();
    for send in sends {
        send.await.unwrap().unwrap();
    }
    assert_eq!(world.contents(&bob).await.len(), 1);
}

#[tokio::test]
async fn what_no_commit_takes_is_sent_in_parts_that_a_repetition_completes() {
    let engine = Arc::new(Interruptible(MemoryEngine::new(&Identity { server_name: SERVER.to_owned() })));
    let world = World::over(engine, 7);
    let alice = world.device("alice", "A1").await;
    let mut bobs = Vec::new();
    for n in 0..40 {
        bobs.push(world.device("bob", &format!("B{n}")).await);
    }
    let big = format!("{{\"key\":\"{}\"}}", "x".repeat(100_000));
    let messages = Arc::new(to_all(&bobs[0], big));
    let mut cut = 0;
    for patience in 0.. {
        let (e2ee, alice, messages) = (Arc::clone(&world.e2ee), alice.clone(), Arc::clone(&messages));
        let send = tokio::spawn(async move { e2ee.send_to_device(&alice, "m.test", "t", &messages).await });
        for _ in 0..patience {
            tokio::task::yield_now().await;
        }
        send.abort();
        match send.await {
            Ok(sent) => {
                sent.unwrap();
                break;
            }
            Err(_) => cut += 1,
        }
    }
    assert!(cut > 3, "it was interrupted in several places, {cut}");
    for bob in &bobs {
        assert_eq!(world.inbox(bob, Pos::ZERO).await.len(), 1, "{:?}", bob.device_id);
    }
    assert!(world.all::<ToDeviceTransaction>().await[0].reached.is_none());
}

#[tokio::test]
async fn unknown_and_remote_targets_are_passed_over() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    let ghost = Requester { device_id: Some("GHOST".into()), ..bob.clone() };
    let nobody = Requester { user_id: crate::testing::user("nobody"), ..bob.clone() };
    let remote = Requester { user_id: "@far:there.test".try_into().unwrap(), ..bob.clone() };
    let mut messages = to(&[(&bob, "{}"), (&ghost, "{}"), (&nobody, "{}"), (&remote, "{}")]);
    messages.extend(to_all(&remote, "{}"));
    world.send(&alice, "t", &messages).await;
    assert_eq!(world.all::<ToDevice>().await.len(), 1);
}

#[tokio::test]
async fn an_inbox_keeps_messages_until_they_are_acknowledged() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    for n in 0..150 {
        world.send(&alice, &format!("t{n}"), &to(&[(&bob, "{}")])).await;
    }
    let page = world.inbox(&bob, Pos::ZERO).await;
    assert_eq!(page.len(), 100);
    let token = page.last().unwrap().pos;
    assert_eq!(world.inbox(&bob, token).await.len(), 50);
    let device = bob.device_id.as_ref().unwrap();
    world.e2ee.acknowledge(&bob.user_id, device, token).await.unwrap();
    assert_eq!(world.all::<ToDevice>().await.len(), 50);
    let position = world.position().await;
    world.e2ee.acknowledge(&bob.user_id, device, token).await.unwrap();
    assert_eq!(world.position().await, position);
    assert_eq!(world.inbox(&bob, Pos::ZERO).await.len(), 50);
}

#[tokio::test]
async fn a_device_takes_its_inbox_with_it() {
    let world = World::new(1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    world.send(&alice, "t", &to(&[(&bob, "{}")])).await;
    world.log_out(&bob).await;
    world.device("bob", "B1").await;
    assert!(world.inbox(&bob, Pos::ZERO).await.is_empty());
    world.log_out(&alice).await;
    assert!(world.all::<ToDeviceTransaction>().await.is_empty());
}

#[tokio::test]
async fn what_is_no_message_or_too_much_is_refused() {
    let world = World::new(1);
    let alice = world.device("alice", "A1").await;
    for n in 0..40 {
        world.device("bob", &format!("B{n}")).await;
    }
    let bob = world.device("bob", "B").await;
    let send = async |messages: &Messages| world.e2ee.send_to_device(&alice, "m.test", "t", messages).await;
    assert!(matches!(send(&to(&[(&bob, "[]")])).await, Err(SendError::NotAnObject)));
    let huge = format!("{{\"x\":\"{}\"}}", "x".repeat(900_000));
    assert!(matches!(send(&to(&[(&bob, &huge)])).await, Err(SendError::TooLarge)), "no commit takes it");
    let much = format!("{{\"x\":\"{}\"}}", "x".repeat(700_000));
    send(&to_all(&bob, much.clone())).await.unwrap();
    for n in 40..60 {
        world.device("bob", &format!("B{n}")).await;
    }
    let result = world.e2ee.send_to_device(&alice, "m.test", "t2", &to_all(&bob, much)).await;
    assert!(
        matches!(result, Err(SendError::TooLarge)),
        "all copies together are more than a request may write"
    );
}

#[tokio::test]
async fn old_transaction_ids_are_forgotten() {
    use std::time::Duration;
    let engine = Arc::new(MemoryEngine::new(&Identity { server_name: SERVER.to_owned() }));
    let world = World::over(engine, 1);
    let (alice, bob) = (world.device("alice", "A1").await, world.device("bob", "B1").await);
    for n in 0..5 {
        world.send(&alice, &format!("t{n}"), &to(&[(&bob, "{}")])).await;
    }
    world.clock.advance(Duration::from_secs(8 * 86_400));
    world.send(&alice, "new", &to(&[(&bob, "{}")])).await;
    let kept = world.all::<ToDeviceTransaction>().await;
    assert_eq!(kept.iter().map(|row| row.txn_id.as_str()).collect::<Vec<_>>(), ["new"]);
}
