//! The store's batches on an engine of ordered keys and values: enough of the contract to measure with.
//!
//! Rows are kept under `keyspace, 0, key`, index entries under `keyspace, index, columns, key`. One thread commits, and
//! takes every batch that waits into one transaction, as the SQLite engine does.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use futures_util::future::{BoxFuture, FutureExt, ready};
use myelin_model::{Epoch, Pos, Shard};
use myelin_store::{
    Batch, CommitError, CommitNotice, Committed, Datum, Direction, Engine, Expectation, KeyspaceDef,
    Malformed, Op, ReadError, Row, Scan, Snapshot,
};
use tokio::sync::{broadcast, oneshot, watch};

use crate::keys::{encode, entry, key_of, range_of, row_key, row_of};

/// An engine of ordered keys and values.
pub trait Kv: Send + Sync + Sized + 'static {
    type Read: KvRead;

    fn open(path: &Path) -> Result<Self>;

    /// Applies the change durably, or not at all.
    fn write(&self, change: &mut dyn FnMut(&mut dyn KvWrite) -> Result<()>) -> Result<()>;

    /// A view of one moment.
    fn read(&self) -> Result<Self::Read>;
}

/// Takes the next pair; false ends the range.
pub type Each<'e> = dyn FnMut(&[u8], &[u8]) -> bool + 'e;

pub trait KvRead: Send + Sync + 'static {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The pairs from `lower` on and below `upper`.
    fn range(&self, lower: &[u8], upper: &[u8], backward: bool, each: &mut Each<'_>) -> Result<()>;
}

pub trait KvWrite {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>>;
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;
    fn remove(&mut self, key: &[u8]) -> Result<()>;
    fn keys(&mut self, lower: &[u8], upper: &[u8]) -> Result<Vec<Vec<u8>>>;
}

const POSITION: &[u8] = b"\0position";

type Job = (Batch, oneshot::Sender<Result<Committed, CommitError>>);

pub struct OrderedEngine<K: Kv> {
    kv: Arc<K>,
    numbers: Arc<HashMap<&'static str, u8>>,
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
    positions: watch::Sender<Pos>,
    notices: broadcast::Sender<Arc<CommitNotice>>,
}

impl<K: Kv> OrderedEngine<K> {
    pub fn open(kv: K, keyspaces: &[&'static KeyspaceDef]) -> Result<Self> {
        let kv = Arc::new(kv);
        let numbers: Arc<HashMap<_, _>> =
            Arc::new(keyspaces.iter().map(|keyspace| keyspace.name).zip(1..).collect());
        let position = kv
            .read()?
            .get(POSITION)?
            .map_or(0, |bytes| i64::from_be_bytes(bytes.try_into().unwrap_or_default()));
        let positions = watch::Sender::new(Pos::new(position));
        let notices = broadcast::Sender::new(myelin_store::NOTICES);
        let (queue, jobs) = mpsc::channel();
        let committer = Committer {
            kv: Arc::clone(&kv),
            numbers: Arc::clone(&numbers),
            position,
            positions: positions.clone(),
            notices: notices.clone(),
        };
        let committer = std::thread::spawn(move || committer.run(&jobs));
        Ok(Self {
            kv,
            numbers,
            queue: Mutex::new(Some(queue)),
            committer: Mutex::new(Some(committer)),
            positions,
            notices,
        })
    }
}

struct Committer<K: Kv> {
    kv: Arc<K>,
    numbers: Arc<HashMap<&'static str, u8>>,
    position: i64,
    positions: watch::Sender<Pos>,
    notices: broadcast::Sender<Arc<CommitNotice>>,
}

impl<K: Kv> Committer<K> {
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            let mut group = vec![job];
            while group.len() < 512
                && let Ok(job) = jobs.try_recv()
            {
                group.push(job);
            }
            let mut outcomes = Vec::new();
            let mut position = self.position;
            let written = self.kv.write(&mut |write| {
                (outcomes, position) = (Vec::new(), self.position);
                for (batch, _) in &group {
                    let outcome = self.apply(write, batch, position + 1)?;
                    if outcome.is_ok() {
                        position += i64::from(batch.positions);
                    }
                    outcomes.push((outcome, position));
                }
                write.put(POSITION, &position.to_be_bytes())
            });
            match written {
                Ok(()) => self.position = position,
                Err(error) => {
                    let error = Arc::new(error);
                    outcomes.clear();
                    for _ in &group {
                        let failed = CommitError::Unavailable(error.to_string().into());
                        outcomes.push((Err(failed), self.position));
                    }
                }
            }
            for ((batch, reply), (outcome, position)) in group.into_iter().zip(outcomes) {
                let committed = outcome.is_ok();
                let _unheard = reply.send(outcome);
                if committed {
                    self.positions.send_replace(Pos::new(position));
                    let notice = CommitNotice { position: Pos::new(position), topics: batch.topics };
                    let _nobody = self.notices.send(Arc::new(notice));
                }
            }
        }
    }

    /// Checks everything before it writes; an addition to a missing row is checked so too.
    fn apply(
        &self,
        write: &mut dyn KvWrite,
        batch: &Batch,
        first: i64,
    ) -> Result<Result<Committed, CommitError>> {
        let place = |keyspace: &KeyspaceDef, key: &[Datum]| {
            let key: Vec<Datum> = key.iter().map(|datum| datum.clone().resolve(first)).collect();
            key_of(self.numbers[keyspace.name], 0, &key)
        };
        for expect in &batch.expects {
            let key = place(expect.keyspace, &expect.key);
            let row = write.get(&key)?.map(|value| row_of(expect.keyspace, &key, &value)).transpose()?;
            let holds = match &expect.expectation {
                Expectation::Absent => row.is_none(),
                Expectation::Present => row.is_some(),
                Expectation::Column(n, value) => {
                    row.is_some_and(|row| row[*n] == value.clone().resolve(first))
                }
            };
            if !holds {
                return Ok(Err(CommitError::Conflict { keyspace: expect.keyspace.name }));
            }
        }
        for op in &batch.ops {
            match op {
                Op::Put { keyspace, row } => {
                    let row: Vec<Datum> = row.iter().map(|datum| datum.clone().resolve(first)).collect();
                    self.put(write, keyspace, &row)?;
                }
                Op::Delete { keyspace, key } => self.delete(write, keyspace, &place(keyspace, key))?,
                Op::DeleteRange(scan) => self.delete_range(write, &scan.clone().resolve(first))?,
                Op::Add { keyspace, key, column, delta } => {
                    let key = place(keyspace, key);
                    let value = write.get(&key)?.context("an addition to nothing: not measured")?;
                    let mut row = row_of(keyspace, &key, &value)?;
                    let Datum::Int(held) = &mut row[*column] else { return Err(anyhow!("not a counter")) };
                    *held += delta;
                    self.put(write, keyspace, &row)?;
                }
            }
        }
        let first = if batch.positions > 0 { first } else { first - 1 };
        Ok(Ok(Committed { first: Pos::new(first) }))
    }

    fn put(&self, write: &mut dyn KvWrite, keyspace: &'static KeyspaceDef, row: &[Datum]) -> Result<()> {
        let number = self.numbers[keyspace.name];
        let key = key_of(number, 0, keyspace.key_of(row));
        if !keyspace.indexes.is_empty() {
            let old = write.get(&key)?.map(|value| row_of(keyspace, &key, &value)).transpose()?;
            for (n, index) in (1..).zip(keyspace.indexes) {
                let new = entry(number, n, &keyspace.order(Some(index)), row);
                if let Some(old) = &old {
                    let old = entry(number, n, &keyspace.order(Some(index)), old);
                    if old == new {
                        continue;
                    }
                    write.remove(&old)?;
                }
                write.put(&new, &[])?;
            }
        }
        let mut value = Vec::new();
        row[keyspace.key_len..].iter().for_each(|datum| encode(datum, &mut value));
        write.put(&key, &value)
    }

    fn delete(&self, write: &mut dyn KvWrite, keyspace: &'static KeyspaceDef, key: &[u8]) -> Result<()> {
        let number = self.numbers[keyspace.name];
        if !keyspace.indexes.is_empty() {
            let Some(value) = write.get(key)? else { return Ok(()) };
            let row = row_of(keyspace, key, &value)?;
            for (n, index) in (1..).zip(keyspace.indexes) {
                write.remove(&entry(number, n, &keyspace.order(Some(index)), &row))?;
            }
        }
        write.remove(key)
    }

    fn delete_range(&self, write: &mut dyn KvWrite, scan: &Scan) -> Result<()> {
        let keyspace = scan.keyspace;
        let (lower, upper) = range_of(self.numbers[keyspace.name], scan);
        for key in write.keys(&lower, &upper)? {
            let key = if scan.index.is_none() { key } else { row_key(keyspace, &scan.order(), &key)? };
            self.delete(write, keyspace, &key)?;
        }
        Ok(())
    }
}

struct OrderedSnapshot<R: KvRead> {
    read: R,
    position: Pos,
    numbers: Arc<HashMap<&'static str, u8>>,
}

impl<R: KvRead> OrderedSnapshot<R> {
    fn get_each(&self, keyspace: &'static KeyspaceDef, keys: &[Vec<Datum>]) -> Result<Vec<Option<Row>>> {
        let number = self.numbers[keyspace.name];
        keys.iter()
            .map(|key| {
                let key = key_of(number, 0, key);
                self.read.get(&key)?.map(|value| row_of(keyspace, &key, &value)).transpose()
            })
            .collect()
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Row>> {
        let keyspace = scan.keyspace;
        let (lower, upper) = range_of(self.numbers[keyspace.name], scan);
        if lower >= upper || scan.limit == 0 {
            return Ok(Vec::new());
        }
        let backward = scan.direction == Direction::Backward;
        if scan.index.is_none() {
            let mut rows = Vec::new();
            self.read.range(&lower, &upper, backward, &mut |key, value| {
                rows.push(row_of(keyspace, key, value));
                rows.len() < scan.limit
            })?;
            return rows.into_iter().collect();
        }
        let mut entries = Vec::new();
        self.read.range(&lower, &upper, backward, &mut |key, _| {
            entries.push(key.to_vec());
            entries.len() < scan.limit
        })?;
        let order = scan.order();
        let row = |entry: &Vec<u8>| {
            let key = row_key(keyspace, &order, entry)?;
            let value = self.read.get(&key)?.context("an index entry without its row")?;
            row_of(keyspace, &key, &value)
        };
        entries.iter().map(row).collect()
    }
}

fn failed(error: anyhow::Error) -> ReadError {
    ReadError::Unavailable(error.into())
}

impl<R: KvRead> Snapshot for OrderedSnapshot<R> {
    fn position(&self) -> Pos {
        self.position
    }

    fn get_many<'s>(
        &'s self,
        keyspace: &'static KeyspaceDef,
        keys: Vec<Vec<Datum>>,
    ) -> BoxFuture<'s, Result<Vec<Option<Row>>, ReadError>> {
        Box::pin(ready(self.get_each(keyspace, &keys).map_err(failed)))
    }

    fn scan_many(&self, scans: Vec<Scan>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, ReadError>> {
        let check = |scan: &Scan| scan.check().map_err(|problem: Malformed| ReadError::from(problem));
        let one = |scan: &Scan| check(scan).and_then(|()| self.scan(scan).map_err(failed));
        Box::pin(ready(scans.iter().map(one).collect()))
    }
}

impl<K: Kv> Engine for OrderedEngine<K> {
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, ReadError>> {
        let snapshot = || {
            let read = self.kv.read()?;
            let position = read.get(POSITION)?.map_or([0; 8], |bytes| bytes.try_into().unwrap_or_default());
            let position = Pos::new(i64::from_be_bytes(position));
            let numbers = Arc::clone(&self.numbers);
            Ok(Box::new(OrderedSnapshot { read, position, numbers }) as Box<dyn Snapshot>)
        };
        Box::pin(ready(snapshot().map_err(failed)))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>> {
        if let Err(error) = batch.check() {
            return Box::pin(ready(Err(error)));
        }
        let (reply, answer) = oneshot::channel();
        if let Some(queue) = &*self.queue.lock().expect("nobody panics while holding it") {
            drop(queue.send((batch, reply)));
        }
        Box::pin(answer.map(|answer| answer.unwrap_or(Err(CommitError::Closed))))
    }

    fn positions(&self) -> watch::Receiver<Pos> {
        self.positions.subscribe()
    }

    fn notices(&self) -> broadcast::Receiver<Arc<CommitNotice>> {
        self.notices.subscribe()
    }

    fn epoch(&self, _shard: Shard) -> Epoch {
        Epoch(1)
    }

    /// Neither redb nor fjall copies itself while in use; what one would write for them is a copy of every pair of a
    /// snapshot into a new store.
    fn backup(&self, target: PathBuf) -> BoxFuture<'_, Result<(), ReadError>> {
        let kv = Arc::clone(&self.kv);
        let copy = move || {
            let (source, copy) = (kv.read()?, K::open(&target)?);
            let mut from = Vec::new();
            loop {
                let mut part = Vec::new();
                source.range(&from, &[0xff; 3], false, &mut |key, value| {
                    part.push((key.to_vec(), value.to_vec()));
                    part.len() < 20_000
                })?;
                let Some((last, _)) = part.last() else { return Ok(()) };
                from = [last.as_slice(), &[0]].concat();
                copy.write(&mut |write| part.iter().try_for_each(|(key, value)| write.put(key, value)))?;
            }
        };
        let copied = tokio::task::spawn_blocking(copy);
        Box::pin(async move { copied.await.map_err(|error| failed(error.into()))?.map_err(failed) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.queue.lock().expect("nobody panics while holding it").take();
        if let Some(committer) = self.committer.lock().expect("nobody panics while holding it").take() {
            drop(committer.join());
        }
        Box::pin(ready(()))
    }
}
