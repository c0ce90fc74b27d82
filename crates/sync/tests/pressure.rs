//! Many requests at once: what each user, device and request may take of what all share.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use myelin_model::{Pos, Requester};
use myelin_store::memory::{MemoryEngine, Wraps};
use myelin_store::schema::rooms::Membership;
use myelin_store::{Datum, Engine, KeyspaceDef, ReadError, Row, Scan, Snapshot};
use myelin_sync::Flush;
use myelin_sync::v3::V3Request;
use myelin_timeline::testing::World;
use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json};
use support::{Server, alice, bob, list};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// An engine that has so many snapshots at once and no more, as that of a real store, and whose reads take a while.
struct Narrow {
    inner: Arc<MemoryEngine>,
    readers: Arc<Semaphore>,
    now: Arc<AtomicUsize>,
    most: AtomicUsize,
}

struct NarrowSnapshot {
    inner: Box<dyn Snapshot>,
    now: Arc<AtomicUsize>,
    _reader: OwnedSemaphorePermit,
}

impl Narrow {
    fn over(world: &World, readers: usize) -> Arc<Self> {
        let inner = Arc::clone(&world.engine);
        let readers = Arc::new(Semaphore::new(readers));
        Arc::new(Self { inner, readers, now: Arc::default(), most: AtomicUsize::new(0) })
    }
}

impl Wraps for Narrow {
    fn inner(&self) -> &MemoryEngine {
        &self.inner
    }

    fn snapshot_around(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, ReadError>> {
        async {
            let reader = Arc::clone(&self.readers).acquire_owned().await.unwrap();
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let inner = self.inner.snapshot().await?;
            let snapshot = NarrowSnapshot { inner, now: Arc::clone(&self.now), _reader: reader };
            Ok(Box::new(snapshot) as Box<dyn Snapshot>)
        }
        .boxed()
    }
}

impl Snapshot for NarrowSnapshot {
    fn position(&self) -> Pos {
        self.inner.position()
    }

    fn get_many<'s>(
        &'s self,
        keyspace: &'static KeyspaceDef,
        keys: Vec<Vec<Datum>>,
    ) -> BoxFuture<'s, Result<Vec<Option<Row>>, ReadError>> {
        tokio::task::yield_now().then(move |()| self.inner.get_many(keyspace, keys)).boxed()
    }

    fn scan_many(&self, scans: Vec<Scan>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, ReadError>> {
        tokio::task::yield_now().then(move |()| self.inner.scan_many(scans)).boxed()
    }
}

impl Drop for NarrowSnapshot {
    fn drop(&mut self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

fn device(user: &UserId, number: usize) -> Requester {
    Requester {
        user_id: user.to_owned(),
        device_id: Some(format!("D{number}").as_str().into()),
        is_admin: false,
        is_suspended: false,
        session: i64::try_from(number).unwrap() + if user == alice() { 0 } else { 100_000 },
    }
}

const LONG: Duration = Duration::from_secs(60);

/// The order in which requests were answered.
type Order = Arc<Mutex<Vec<String>>>;

/// A request on a connection of its own, which waits.
async fn slide(server: &Server, requester: Requester, conn_id: usize, order: &Order) -> JoinHandle<Value> {
    let body = || {
        let mut body = list(9, 1, json!([]));
        body["conn_id"] = json!(conn_id.to_string());
        serde_json::from_value(body).unwrap()
    };
    let first = server.sync.sliding(&requester, Box::new(body()), None, None).await.unwrap();
    let first: Value = serde_json::from_slice(&first).unwrap();
    let (sync, body, order) = (Arc::clone(&server.sync), body(), Arc::clone(order));
    tokio::spawn(async move {
        let pos = first["pos"].as_str();
        let answer = sync.sliding(&requester, Box::new(body), pos, Some(LONG)).await.unwrap();
        order.lock().unwrap().push(requester.user_id.to_string());
        serde_json::from_slice(&answer).unwrap()
    })
}

async fn v3(server: &Server, requester: Requester, order: &Order) -> JoinHandle<Value> {
    let first = server.sync.v3(&requester, &V3Request::default()).await.unwrap();
    let first: Value = serde_json::from_slice(&first).unwrap();
    let since = first["next_batch"].as_str().map(str::to_owned);
    let request = V3Request { since, timeout: Some(LONG), ..V3Request::default() };
    let (sync, order) = (Arc::clone(&server.sync), Arc::clone(order));
    tokio::spawn(async move {
        let answer = sync.v3(&requester, &request).await.unwrap();
        order.lock().unwrap().push(requester.user_id.to_string());
        serde_json::from_slice(&answer).unwrap()
    })
}

/// Lets everything go on as far as it can.
async fn settle() {
    for _ in 0..20_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_with_hundreds_of_waiting_requests_takes_few_readers_and_delays_nobody() {
    let world = World::new();
    let room = world.room(alice(), "shared").await;
    world.member(room, bob(), bob(), Membership::Join).await;
    let engine = Narrow::over(&world, 16);
    let server = Server::reading(world, 1, Arc::clone(&engine) as Arc<dyn Engine>);
    let order = Order::default();
    let mut requests = Vec::new();
    for number in 0..500 {
        requests.push(if number % 2 == 0 {
            slide(&server, device(alice(), number / 32), number, &order).await
        } else {
            v3(&server, device(alice(), number), &order).await
        });
    }
    let bobs = slide(&server, device(bob(), 0), 0, &order).await;
    settle().await;
    assert_eq!(server.sync.load().1, 501, "all wait");
    engine.most.store(0, Ordering::SeqCst);
    server.world.say(room, alice(), "hello").await;
    bobs.await.unwrap();
    let before = order.lock().unwrap().len();
    assert!(before <= 20, "{before} of another user were answered before");
    for request in requests {
        let answer = request.await.unwrap();
        assert!(answer.to_string().contains("hello"), "{answer}");
    }
    let most = engine.most.load(Ordering::SeqCst);
    assert!(most <= 5, "{most} readers were in use for one user and another");
}

#[tokio::test(start_paused = true)]
async fn no_request_needs_two_readers_at_once() {
    let world = World::new();
    let room = world.room(alice(), "shared").await;
    world.member(room, bob(), bob(), Membership::Join).await;
    let engine = Narrow::over(&world, 1);
    let server = Server::reading(world, 1, engine);
    let order = Order::default();
    let mut requests = Vec::new();
    for number in 0..20 {
        requests.push(slide(&server, device(alice(), number), number, &order).await);
        requests.push(v3(&server, device(bob(), number), &order).await);
    }
    settle().await;
    server.world.say(room, alice(), "hello").await;
    let all = futures_util::future::join_all(requests);
    let all = tokio::time::timeout(LONG / 2, all).await.unwrap();
    assert!(all.into_iter().all(|answer| answer.unwrap().to_string().contains("hello")));
    server.sync.flush(Flush::Last).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_device_waits_on_its_newest_connections_only() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let order = Order::default();
    let mut requests = Vec::new();
    for number in 0..500 {
        requests.push(slide(&server, device(alice(), 0), number, &order).await);
        tokio::task::yield_now().await;
    }
    settle().await;
    assert_eq!(server.sync.load(), (16, 16), "connections in memory, and requests that wait");
    server.world.say(room, alice(), "hello").await;
    for (number, request) in requests.into_iter().enumerate() {
        assert_eq!(request.await.unwrap().to_string().contains("hello"), number >= 484, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_waits_with_its_newest_requests_only() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let order = Order::default();
    let mut requests = Vec::new();
    for _ in 0..500 {
        requests.push(v3(&server, device(alice(), 0), &order).await);
        tokio::task::yield_now().await;
    }
    settle().await;
    assert_eq!(server.sync.load().1, 16);
    server.world.say(room, alice(), "hello").await;
    for (number, request) in requests.into_iter().enumerate() {
        assert_eq!(request.await.unwrap().to_string().contains("hello"), number >= 484, "{number}");
    }
}

/// Members of a crowded room, and the connections on which each of them waits.
const CROWD: (usize, usize) = (500, 4);

#[tokio::test(start_paused = true)]
async fn a_message_to_thousands_who_wait_lets_others_have_their_turn() {
    let world = World::new();
    let crowded = world.room(alice(), "crowded").await;
    world.room(bob(), "quiet").await;
    let (members, each) = CROWD;
    let members: Vec<OwnedUserId> =
        (0..members).map(|number| format!("@member{number}:test").try_into().unwrap()).collect();
    for member in &members {
        world.member(crowded, member, member, Membership::Join).await;
    }
    let engine = Arc::clone(&world.engine) as Arc<dyn Engine>;
    let server = Server::reading(world, 1, engine);
    let order = Order::default();
    let mut requests = Vec::new();
    for (number, member) in members.iter().enumerate() {
        for connection in 0..each {
            requests.push(slide(&server, device(member, 200_000 + number), connection, &order).await);
        }
    }
    while server.sync.load().1 < requests.len() {
        tokio::task::yield_now().await;
    }
    server.world.say(crowded, alice(), "hello").await;
    // Whom it does not concern asks again and again; what waits its turn before each of their requests is what they wait for.
    let answered = || order.lock().unwrap().len();
    let (mut rounds, mut most) = (0, 0);
    while answered() < requests.len() {
        let (before, sync) = (answered(), Arc::clone(&server.sync));
        let asking = tokio::spawn(async move {
            let body = serde_json::from_value(list(9, 1, json!([]))).unwrap();
            sync.sliding(&device(bob(), 0), Box::new(body), None, None).await.unwrap()
        });
        asking.await.unwrap();
        most = most.max(answered() - before);
        rounds += 1;
    }
    assert!(most <= 200, "{most} of the crowd were answered before one who asked");
    assert!(rounds >= requests.len() / 200, "{rounds}");
    for request in requests {
        assert!(request.await.unwrap().to_string().contains("hello"));
    }
}
