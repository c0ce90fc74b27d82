//! What the tests stand on: the service over rooms in a memory store.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use myelin_model::{Requester, RoomNid};
use myelin_runtime::{Env, ManualClock};
use myelin_store::memory::{MemoryEngine, Wraps};
use myelin_store::schema::auth::Account;
use myelin_store::schema::rooms::Membership;
use myelin_store::{Batch, CommitError, Committed, Engine, Keyspace, ReadError, Reader, Scan, Snapshot};
use myelin_timeline::testing::World;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::{Config, CopyError, CopyRules, ReadUpTo, Reading, Thread, Users};

/// A reading as the port was told of it: user, order, counter, and what of the room.
pub(crate) type Told = (OwnedUserId, i64, i64, Thread);

/// Notes what it is told.
#[derive(Default)]
pub(crate) struct Listener(Mutex<Vec<Told>>);

impl Listener {
    pub(crate) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl ReadUpTo for Listener {
    fn extend<'a>(
        &'a self,
        _snapshot: &'a dyn Snapshot,
        _batch: &'a mut Batch,
        reading: Reading<'a>,
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        let Reading { user_id, order, counter, thread, .. } = reading;
        let told = (user_id.to_owned(), order, counter, thread.clone());
        self.0.lock().unwrap().push(told);
        Box::pin(async { Ok(()) })
    }
}

/// Nobody has push rules.
struct NoRules;

impl CopyRules for NoRules {
    fn copy<'a>(
        &'a self,
        _: &'a UserId,
        _: &'a RoomId,
        _: &'a RoomId,
    ) -> BoxFuture<'a, Result<(), CopyError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A server in memory.
pub(crate) struct House {
    pub(crate) world: Arc<World>,
    pub(crate) users: Arc<Users>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) env: Env,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(World::new()))
    }

    /// The same store under a service that starts anew.
    pub(crate) fn over(world: Arc<World>) -> Self {
        let (env, clock) = Env::seeded(1);
        let listener = Arc::new(Listener::default());
        let engine = Arc::new(Yielding(Arc::clone(&world.engine)));
        let port = Arc::clone(&listener) as Arc<dyn ReadUpTo>;
        let config = Config { server_name: "test".try_into().unwrap(), presence: true };
        let rules = Arc::new(NoRules);
        let users = Arc::new(Users::new(engine, env.clone(), config, port, rules));
        Self { world, users, listener, clock, env }
    }

    /// Makes an account.
    pub(crate) async fn account(&self, name: &str) -> Requester {
        let requester = requester(name);
        let mut batch = self.world.batch();
        batch.put(&Account {
            user_id: requester.user_id.clone(),
            created_at: 0,
            is_admin: false,
            user_type: None,
            locked_at: None,
            suspended_at: None,
            deactivated_at: None,
            erase: false,
            departing: false,
            version: 1,
        });
        self.world.commit(batch).await;
        requester
    }

    /// A room with these users, the first of whom made it.
    pub(crate) async fn room(&self, users: &[&Requester]) -> (RoomNid, OwnedRoomId) {
        let room = self.world.room(&users[0].user_id, "shared").await;
        for user in &users[1..] {
            self.world.member(room, &user.user_id, &user.user_id, Membership::Join).await;
        }
        (room, self.world.room_id(room))
    }

    pub(crate) async fn all<K: Keyspace>(&self) -> Vec<K> {
        self.world.snapshot().await.scan(Scan::prefix::<K>((), usize::MAX)).await.unwrap()
    }
}

/// An engine that lets others go first, before each read and each commit, as a disk does.
struct Yielding(Arc<MemoryEngine>);

impl Wraps for Yielding {
    fn inner(&self) -> &MemoryEngine {
        &self.0
    }

    fn snapshot_around(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, ReadError>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.0.snapshot().await
        })
    }

    fn commit_around(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>> {
        Box::pin(async {
            tokio::task::yield_now().await;
            self.0.commit(batch).await
        })
    }
}

pub(crate) fn requester(name: &str) -> Requester {
    let user_id = UserId::parse(format!("@{name}:test")).unwrap();
    Requester { user_id, device_id: Some("D".into()), is_admin: false, is_suspended: false, session: 1 }
}
