//! A sync service over a memory store, and clients that talk to it.

#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, ready};
use myelin_model::{Pos, Requester, RoomNid, Topic};
use myelin_runtime::{Env, ManualClock};
use myelin_store::Engine;
use myelin_store::schema::e2ee::{DeviceListChange, ToDevice};
use myelin_sync::Sync;
use myelin_sync::ports::{Inboxes, Presence, PresenceContent, Typing};
use myelin_sync::sliding::SlidingError;
use myelin_sync::v3::{V3Error, V3Request};
use myelin_timeline::testing::World;
use ruma::{DeviceId, OwnedUserId, UserId, user_id};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

pub(crate) fn alice() -> &'static UserId {
    user_id!("@alice:test")
}

pub(crate) fn bob() -> &'static UserId {
    user_id!("@bob:test")
}

/// Remembers up to where inboxes were acknowledged.
#[derive(Default)]
pub(crate) struct FakeInboxes {
    pub(crate) acknowledged: AtomicI64,
}

impl Inboxes for FakeInboxes {
    fn acknowledge<'a>(&'a self, _: &'a UserId, _: &'a DeviceId, up_to: Pos) -> BoxFuture<'a, ()> {
        self.acknowledged.store(up_to.get(), Ordering::SeqCst);
        ready(()).boxed()
    }
}

type Typists = HashMap<RoomNid, (u64, Vec<OwnedUserId>)>;

/// Typing that tests set.
pub(crate) struct FakeTyping {
    state: Mutex<(u64, Typists)>,
    changes: broadcast::Sender<RoomNid>,
}

impl FakeTyping {
    pub(crate) fn set(&self, room: RoomNid, users: &[&UserId]) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        let users = users.iter().map(|user| (*user).to_owned()).collect();
        let now = state.0;
        state.1.insert(room, (now, users));
        drop(state);
        let _ = self.changes.send(room);
    }
}

impl Typing for FakeTyping {
    fn counter(&self) -> u64 {
        self.state.lock().unwrap().0
    }

    fn changed_after(&self, counter: u64) -> Vec<(RoomNid, Vec<OwnedUserId>)> {
        let state = self.state.lock().unwrap();
        let after = state.1.iter().filter(|(_, (at, _))| *at > counter);
        after.map(|(room, (_, users))| (*room, users.clone())).collect()
    }

    fn changes(&self) -> broadcast::Receiver<RoomNid> {
        self.changes.subscribe()
    }
}

/// Presence that tests set.
pub(crate) struct FakePresence {
    users: Mutex<HashMap<OwnedUserId, (u64, &'static str)>>,
    changes: watch::Sender<u64>,
}

impl FakePresence {
    fn new() -> Self {
        Self { users: Mutex::default(), changes: watch::channel(0).0 }
    }

    pub(crate) fn set(&self, user: &UserId, presence: &'static str) {
        let version = *self.changes.borrow() + 1;
        self.users.lock().unwrap().insert(user.to_owned(), (version, presence));
        self.changes.send_replace(version);
    }
}

impl Presence for FakePresence {
    fn changed_after(&self, counter: u64) -> Vec<(u64, OwnedUserId)> {
        let users = self.users.lock().unwrap();
        let after = users.iter().filter(|(_, (version, _))| *version > counter);
        let mut after: Vec<_> = after.map(|(user, (version, _))| (*version, user.clone())).collect();
        after.sort_unstable();
        after
    }

    fn present(&self) -> Vec<OwnedUserId> {
        let users = self.users.lock().unwrap();
        users.iter().filter(|(_, (_, state))| *state != "offline").map(|(user, _)| user.clone()).collect()
    }

    fn content(&self, user_id: &UserId) -> Option<PresenceContent> {
        let (_, presence) = *self.users.lock().unwrap().get(user_id)?;
        Some(PresenceContent { presence, last_active_ago: None, currently_active: None, status_msg: None })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

pub(crate) struct Server {
    pub(crate) world: World,
    pub(crate) sync: Arc<Sync>,
    pub(crate) inboxes: Arc<FakeInboxes>,
    pub(crate) typing: Arc<FakeTyping>,
    pub(crate) presence: Arc<FakePresence>,
    pub(crate) clock: Arc<ManualClock>,
    env: Env,
    seed: u64,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::over(World::new(), 1)
    }

    fn over(world: World, seed: u64) -> Self {
        let engine = Arc::clone(&world.engine) as Arc<dyn Engine>;
        Self::reading(world, seed, engine)
    }

    /// A server that reads from this engine over the world's store.
    pub(crate) fn reading(world: World, seed: u64, engine: Arc<dyn Engine>) -> Self {
        let (env, clock) = Env::seeded(seed);
        let inboxes = Arc::new(FakeInboxes::default());
        let typing = Arc::new(FakeTyping { state: Mutex::default(), changes: broadcast::channel(64).0 });
        let (read, typed) =
            (Arc::clone(&inboxes) as Arc<dyn Inboxes>, Arc::clone(&typing) as Arc<dyn Typing>);
        let presence = Arc::new(FakePresence::new());
        let present = Arc::clone(&presence) as Arc<dyn Presence>;
        let sync = Sync::new(engine, env.clone(), read, typed, present);
        Self { world, sync, inboxes, typing, presence, clock, env, seed }
    }

    /// Another process over the same store; what was not written is lost.
    pub(crate) async fn restart(self) -> Self {
        drop(self.sync);
        // No two processes draw the same numbers.
        Self::over(self.world, self.seed + 1)
    }

    pub(crate) fn client(&self, user: &UserId) -> Client {
        let device_id = format!("DEV{}", user.localpart().to_uppercase());
        Client {
            requester: Requester {
                user_id: user.to_owned(),
                device_id: Some(device_id.as_str().into()),
                is_admin: false,
                is_suspended: false,
                session: 7,
            },
            pos: None,
            since: None,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) requester: Requester,
    pub(crate) pos: Option<String>,
    pub(crate) since: Option<String>,
}

/// One list of the newest rooms.
#[expect(clippy::needless_pass_by_value, reason = "callers write the value in place")]
pub(crate) fn list(last: u64, timeline_limit: u64, required_state: Value) -> Value {
    json!({ "lists": { "all": {
        "ranges": [[0, last]], "timeline_limit": timeline_limit, "required_state": required_state,
    } } })
}

impl Client {
    pub(crate) async fn try_slide(
        &mut self,
        server: &Server,
        body: Value,
        timeout: u64,
    ) -> Result<Value, SlidingError> {
        let request = serde_json::from_value(body).unwrap();
        let timeout = Some(Duration::from_millis(timeout));
        let answer =
            server.sync.sliding(&self.requester, Box::new(request), self.pos.as_deref(), timeout).await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        self.pos = Some(answer["pos"].as_str().unwrap().to_owned());
        Ok(answer)
    }

    pub(crate) async fn slide(&mut self, server: &Server, body: Value) -> Value {
        self.try_slide(server, body, 0).await.unwrap()
    }
}

/// The bodies of messages in a timeline; other events by their type.
pub(crate) fn bodies(timeline: &Value) -> Vec<String> {
    let events = timeline.as_array().cloned().unwrap_or_default();
    let body =
        |event: &Value| event["content"]["body"].as_str().or(event["type"].as_str()).map(str::to_owned);
    events.iter().filter_map(body).collect()
}

/// The types and keys in a state section.
pub(crate) fn kinds(state: &Value) -> Vec<String> {
    let events = state.as_array().cloned().unwrap_or_default();
    let kind = |event: &Value| {
        format!("{}/{}", event["type"].as_str().unwrap(), event["state_key"].as_str().unwrap())
    };
    let mut kinds: Vec<String> = events.iter().map(kind).collect();
    kinds.sort();
    kinds
}

impl Client {
    pub(crate) async fn try_v3(&mut self, server: &Server, request: V3Request) -> Result<Value, V3Error> {
        let request = V3Request { since: self.since.clone(), ..request };
        let answer = server.sync.v3(&self.requester, &request).await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        self.since = Some(answer["next_batch"].as_str().unwrap().to_owned());
        Ok(answer)
    }

    pub(crate) async fn v3(&mut self, server: &Server) -> Value {
        self.try_v3(server, V3Request::default()).await.unwrap()
    }

    pub(crate) async fn v3_filtered(&mut self, server: &Server, filter: &Value) -> Value {
        let request = V3Request { filter: Some(filter.to_string()), ..V3Request::default() };
        self.try_v3(server, request).await.unwrap()
    }
}

impl Server {
    /// Puts a message into the inbox of the user's client.
    pub(crate) async fn to_device(&self, user: &UserId, body: &str) {
        let mut batch = self.world.batch();
        let pos = batch.next_pos();
        batch.put(&ToDevice {
            user_id: user.to_owned(),
            device_id: self.client(user).requester.device_id.unwrap(),
            pos,
            sender: bob().to_owned(),
            kind: "m.test".to_owned(),
            content: json!({ "body": body }).to_string().into(),
        });
        batch.wake(Topic::user(user.as_str()));
        self.world.commit(batch).await;
    }

    /// The user's devices changed.
    pub(crate) async fn devices_changed(&self, user: &UserId) {
        let mut batch = self.world.batch();
        let changed = batch.next_pos();
        batch.put(&DeviceListChange { user_id: user.to_owned(), changed });
        self.world.commit(batch).await;
    }
}
