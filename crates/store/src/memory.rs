//! The engine without a disk: ordered maps that keep every version a snapshot may still ask for.
//!
//! It behaves as the durable engines do in everything but durability, and needs no runtime: a commit is applied
//! before [`Engine::commit`] returns.

mod table;
mod wraps;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures_util::future::{BoxFuture, ready};
use myelin_model::{Epoch, Fence, Pos, Shard};
use tokio::sync::{broadcast, watch};

use self::table::{Table, Version};
pub use self::wraps::Wraps;
use crate::schema::node::{Counter, Meta, POSITION, ShardEpoch};
use crate::schema::{self, node};
use crate::{
    Batch, CommitError, CommitNotice, Committed, Datum, Engine, Expect, Expectation, Identity, Keyspace,
    KeyspaceDef, NOTICES, Op, ReadError, Row, Scan, Snapshot,
};

/// A store in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryEngine {
    shared: Arc<Shared>,
}

struct Shared {
    state: RwLock<State>,
    positions: watch::Sender<Pos>,
    notices: broadcast::Sender<Arc<CommitNotice>>,
}

#[derive(Clone, Default)]
struct State {
    version: Version,
    position: i64,
    tables: HashMap<&'static str, Table>,
    /// How many snapshots look at which version.
    live: BTreeMap<Version, usize>,
    /// The tasks that hold one.
    holders: HashSet<tokio::task::Id>,
    closed: bool,
}

impl MemoryEngine {
    /// An empty store of the given server.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        let mut state = State::default();
        let version = state.begin();
        let mut meta = |name: &str, value: String| {
            state.put(Meta::DEF, Meta { name: name.to_owned(), value }.to_row(), version);
        };
        meta(node::SERVER_NAME, identity.server_name.clone());
        meta(node::SCHEMA_VERSION, schema::VERSION.to_string());
        for shard in Shard::all() {
            state.put(
                ShardEpoch::DEF,
                ShardEpoch { shard: shard.number().into(), epoch: 1 }.to_row(),
                version,
            );
        }
        state.version = version;
        Self::of(state)
    }

    /// What a crash leaves: a store with all that was committed so far. This one takes nothing more.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut state = self.shared.write();
        let left = State { live: BTreeMap::new(), ..state.clone() };
        state.closed = true;
        Self::of(left)
    }

    fn of(state: State) -> Self {
        let shared = Shared {
            positions: watch::Sender::new(Pos::new(state.position)),
            notices: broadcast::Sender::new(NOTICES),
            state: RwLock::new(state),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, batch: Batch) -> Result<Committed, CommitError> {
        batch.check()?;
        let mut state = self.write();
        let state = &mut *state;
        if state.closed {
            return Err(CommitError::Closed);
        }
        let first = state.position + 1;
        state.check_fence(batch.fence)?;
        let version = state.begin();
        for expect in batch.expects {
            state.check_expectation(expect, first)?;
        }
        if let Err(error) = batch.ops.into_iter().try_for_each(|op| state.apply(op, first, version)) {
            state.tables.values_mut().for_each(|table| table.undo(version));
            return Err(error);
        }
        if batch.positions > 0 {
            state.position += i64::from(batch.positions);
            let counter = Counter { name: POSITION.to_owned(), next: state.position + 1 };
            state.put(Counter::DEF, counter.to_row(), version);
        }
        state.version = version;
        let oldest = state.live.keys().next().copied().unwrap_or(version);
        state.tables.values_mut().for_each(|table| table.prune(oldest));
        // Announced under the lock, so that the order is that of the commits.
        let position = Pos::new(state.position);
        self.positions.send_if_modified(|current| std::mem::replace(current, position) != position);
        // No receiver is no error.
        drop(self.notices.send(Arc::new(CommitNotice { position, topics: batch.topics })));
        Ok(Committed { first: if batch.positions > 0 { Pos::new(first) } else { position } })
    }
}

impl State {
    /// The version that the next commit makes.
    fn begin(&self) -> Version {
        self.version + 1
    }

    fn table(&mut self, keyspace: &'static KeyspaceDef) -> &mut Table {
        self.tables.entry(keyspace.name).or_insert_with(|| Table::new(keyspace))
    }

    fn newest(&self, keyspace: &KeyspaceDef, key: &[Datum]) -> Option<&[Datum]> {
        self.tables.get(keyspace.name)?.get(key, Version::MAX)
    }

    fn put(&mut self, keyspace: &'static KeyspaceDef, row: Row, version: Version) {
        self.table(keyspace).put(row, version);
    }

    fn check_fence(&self, fence: Fence) -> Result<(), CommitError> {
        let key = [Datum::Int(fence.shard.number().into())];
        let held = self.newest(ShardEpoch::DEF, &key).and_then(|row| row.get(1));
        if held == Some(&Datum::Int(fence.epoch.0)) { Ok(()) } else { Err(CommitError::Fenced(fence.shard)) }
    }

    fn check_expectation(&self, expect: Expect, first: i64) -> Result<(), CommitError> {
        let Expect { keyspace, key, expectation } = expect;
        let found = self.newest(keyspace, &resolve(key, first));
        let holds = match expectation {
            Expectation::Absent => found.is_none(),
            Expectation::Present => found.is_some(),
            Expectation::Column(n, value) => {
                found.and_then(|row| row.get(n)).is_some_and(|held| *held == value.resolve(first))
            }
        };
        if holds { Ok(()) } else { Err(CommitError::Conflict { keyspace: keyspace.name }) }
    }

    fn apply(&mut self, op: Op, first: i64, version: Version) -> Result<(), CommitError> {
        match op {
            Op::Put { keyspace, row } => self.put(keyspace, resolve(row.into_vec(), first).into(), version),
            Op::Delete { keyspace, key } => self.table(keyspace).delete(&resolve(key, first), version),
            Op::DeleteRange(scan) => {
                let keyspace = scan.keyspace;
                let scan = Scan { limit: usize::MAX, ..scan.resolve(first) };
                let table = self.table(keyspace);
                for row in table.scan(&scan, Version::MAX) {
                    table.delete(keyspace.key_of(&row), version);
                }
            }
            Op::Add { keyspace, key, column, delta } => {
                let conflict = CommitError::Conflict { keyspace: keyspace.name };
                let key = resolve(key, first);
                let Some(found) = self.newest(keyspace, &key) else { return Err(conflict) };
                let mut row = Row::from(found);
                let Some(held) = row.get_mut(column) else { return Err(conflict) };
                let Datum::Int(value) = held else { return Err(conflict) };
                *value = value.checked_add(delta).ok_or(crate::Malformed {
                    keyspace: keyspace.name,
                    problem: "a counter would pass the end of its range",
                })?;
                self.put(keyspace, row, version);
            }
        }
        Ok(())
    }
}

fn resolve(datums: Vec<Datum>, first: i64) -> Vec<Datum> {
    datums.into_iter().map(|datum| datum.resolve(first)).collect()
}

impl Engine for MemoryEngine {
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, ReadError>> {
        let mut state = self.shared.write();
        if state.closed {
            return Box::pin(ready(Err(ReadError::Closed)));
        }
        let version = state.version;
        *state.live.entry(version).or_default() += 1;
        let position = Pos::new(state.position);
        let holder = Holder::of_this_task(&mut state);
        let snapshot = MemorySnapshot { shared: Arc::clone(&self.shared), version, position, holder };
        Box::pin(ready(Ok(Box::new(snapshot) as Box<dyn Snapshot>)))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>> {
        self.expect_no_snapshot();
        Box::pin(ready(self.shared.commit(batch)))
    }

    fn expect_no_snapshot(&self) {
        Holder::is_not_this_task(&self.shared.read());
    }

    fn positions(&self) -> watch::Receiver<Pos> {
        self.shared.positions.subscribe()
    }

    fn notices(&self) -> broadcast::Receiver<Arc<CommitNotice>> {
        self.shared.notices.subscribe()
    }

    fn epoch(&self, _shard: Shard) -> Epoch {
        Epoch(1)
    }

    fn backup(&self, _target: PathBuf) -> BoxFuture<'_, Result<(), ReadError>> {
        Box::pin(ready(Err(ReadError::Unavailable("a store in memory has no form on disk to copy".into()))))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.shared.write().closed = true;
        Box::pin(ready(()))
    }
}

struct MemorySnapshot {
    shared: Arc<Shared>,
    version: Version,
    position: Pos,
    holder: Holder,
}

/// The task that holds a snapshot, in builds with debug assertions. A store with few readers would wait for ever where each
/// of as many tasks asks for a second one while it holds its first; SQLite's log can't start over before the snapshots of it have
/// ended, for which commits wait.
struct Holder(Option<tokio::task::Id>);

impl Holder {
    fn of_this_task(state: &mut State) -> Self {
        let task = tokio::task::try_id().filter(|_| cfg!(debug_assertions));
        let is_first = task.is_none_or(|task| state.holders.insert(task));
        assert!(is_first, "a task that holds a snapshot asks for another");
        Self(task)
    }

    fn is_not_this_task(state: &State) {
        let task = tokio::task::try_id().filter(|_| cfg!(debug_assertions));
        let holds = task.is_some_and(|task| state.holders.contains(&task));
        assert!(!holds, "a task that holds a snapshot waits for a commit");
    }

    fn lets_go(&self, state: &mut State) {
        if let Some(task) = self.0 {
            state.holders.remove(&task);
        }
    }
}

impl MemorySnapshot {
    fn scan(&self, scan: &Scan) -> Result<Vec<Row>, ReadError> {
        scan.check()?;
        let state = self.shared.read();
        let table = state.tables.get(scan.keyspace.name);
        Ok(table.map(|table| table.scan(scan, self.version)).unwrap_or_default())
    }

    fn get_each(&self, keyspace: &KeyspaceDef, keys: &[Vec<Datum>]) -> Result<Vec<Option<Row>>, ReadError> {
        keys.iter().try_for_each(|key| keyspace.check_key(key))?;
        let state = self.shared.read();
        let Some(table) = state.tables.get(keyspace.name) else { return Ok(vec![None; keys.len()]) };
        Ok(keys.iter().map(|key| table.get(key, self.version).map(Row::from)).collect())
    }
}

impl Snapshot for MemorySnapshot {
    fn position(&self) -> Pos {
        self.position
    }

    fn get_many<'s>(
        &'s self,
        keyspace: &'static KeyspaceDef,
        keys: Vec<Vec<Datum>>,
    ) -> BoxFuture<'s, Result<Vec<Option<Row>>, ReadError>> {
        Box::pin(ready(self.get_each(keyspace, &keys)))
    }

    fn scan_many(&self, scans: Vec<Scan>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, ReadError>> {
        Box::pin(ready(scans.iter().map(|scan| self.scan(scan)).collect()))
    }
}

impl Drop for MemorySnapshot {
    fn drop(&mut self) {
        let mut state = self.shared.write();
        self.holder.lets_go(&mut state);
        if let Some(count) = state.live.get_mut(&self.version) {
            *count -= 1;
            if *count == 0 {
                state.live.remove(&self.version);
            }
        }
    }
}
