//! Queues: what they keep, and what of it is in the store.

use std::sync::Arc;

use myelin_model::{EventNid, Pos};
use myelin_runtime::Env;
use myelin_store::memory::MemoryEngine;
use myelin_store::schema::notify::PendingPush;
use myelin_store::{Engine, Identity, Reader, Scan};
use ruma::owned_user_id;

use super::queue::{PusherKey, Waiting};
use super::{MAX_QUEUE, Schemes};
use crate::Notify;

fn notify(engine: &Arc<MemoryEngine>) -> Notify {
    let engine = Arc::clone(engine) as Arc<dyn Engine>;
    let (env, _) = Env::seeded(1);
    Notify::new(engine, env, "here.test".try_into().unwrap(), Schemes::HttpsOnly)
}

fn key(pushkey: &str) -> PusherKey {
    (owned_user_id!("@alice:here.test"), "app".to_owned(), pushkey.to_owned())
}

fn waiting(event: i64) -> Waiting {
    Waiting { event: EventNid(event), at: 0 }
}

async fn rows(notify: &Notify) -> Vec<i64> {
    let scan = Scan::prefix::<PendingPush>((), usize::MAX);
    let rows = notify.engine.snapshot().await.unwrap().scan::<PendingPush>(scan).await.unwrap();
    rows.into_iter().map(|row| row.pos.get()).collect()
}

#[tokio::test]
async fn a_queue_keeps_the_newest_and_the_store_what_is_still_to_be_sent() {
    let engine = Arc::new(MemoryEngine::new(&Identity { server_name: "here.test".to_owned() }));
    let notify = notify(&engine);
    assert!(notify.load_queues().await.unwrap().is_empty());
    let most = i64::try_from(MAX_QUEUE).unwrap();
    for n in 1..=most + 3 {
        assert_eq!(notify.queues.push(&key("a"), Pos::new(n), waiting(n)), n == 1);
    }
    assert_eq!(notify.queues.first(&key("a")), Some((Pos::new(4), waiting(4))));
    notify.queues.advance(Pos::new(most + 3));
    notify.save_queues().await.unwrap();
    assert_eq!(rows(&notify).await, (4..=most + 3).collect::<Vec<_>>());

    notify.queues.keep(&key("a"), |waiting| waiting.event.0 > most);
    notify.save_queues().await.unwrap();
    assert_eq!(rows(&notify).await, [most + 1, most + 2, most + 3]);

    let again = self::notify(&engine);
    assert_eq!(again.load_queues().await.unwrap(), [key("a")]);
    assert_eq!(again.queues.cursor(), Pos::new(most + 3));
    for n in most + 1..=most + 3 {
        assert_eq!(again.queues.first(&key("a")), Some((Pos::new(n), waiting(n))));
        again.queues.done(&key("a"), Pos::new(n));
    }
    assert_eq!(again.queues.first(&key("a")), None);
    again.save_queues().await.unwrap();
    assert!(rows(&again).await.is_empty());
    assert!(again.queues.push(&key("a"), Pos::new(99), waiting(99)), "its task has ended");
}
