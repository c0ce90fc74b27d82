//! What outlives an engine, and the comparison with the memory engine.

use futures_util::future::{join, join_all};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::super::{Factory, Mark, Note, batch, dump, identity, note, random};
use crate::memory::MemoryEngine;
use crate::{Batch, CommitError, Committed, Engine, ReadError, Reader, Scan, reserve_ids};

pub async fn a_backup_is_the_store_at_one_moment(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let commit = || {
        let mut batch = batch(engine);
        let (a, b) = (batch.next_pos(), batch.next_pos());
        batch.put(&note(1, a));
        batch.put(&note(2, b));
        engine.commit(batch)
    };
    for _ in 0..50 {
        commit().await.unwrap();
    }
    let target = factory.scratch();
    let (during, backup) = join(join_all((0..50).map(|_| commit())), engine.backup(target.clone())).await;
    assert!(during.iter().all(Result::is_ok));
    if backup.is_ok() {
        let copy = factory.restore(&target).expect("an engine that makes backups opens them");
        let notes: Vec<Note> =
            copy.snapshot().await.unwrap().scan(Scan::prefix::<Note>((), 999)).await.unwrap();
        let of = |room| notes.iter().filter(|note| note.room.0 == room).count();
        assert!(of(1) >= 50, "what was acknowledged before is in it");
        assert_eq!(of(1), of(2), "no batch is in it by half");
        let newest = *engine.positions().borrow();
        let mut next = batch(&*copy);
        next.next_pos();
        let first = copy.commit(next).await.unwrap().first;
        assert!(first > newest, "no position of the time after the backup is given out again");
        copy.close().await;
        assert!(engine.backup(target).await.is_err(), "a backup overwrites nothing");
    }
    engine.close().await;
}

pub async fn a_closed_store_refuses_and_keeps_what_it_acknowledged(factory: &dyn Factory) {
    let engine = factory.fresh();
    let marked = |engine: &dyn Engine, id| {
        let mut batch = batch(engine);
        let pos = batch.next_pos();
        batch.put(&Mark { id });
        batch.put(&note(1, pos));
        batch
    };
    let pending: Vec<_> = (0..20).map(|id| engine.commit(marked(&*engine, id))).collect();
    engine.close().await;
    assert!(join_all(pending).await.iter().all(Result::is_ok), "close waits for what is under way");
    assert!(matches!(engine.commit(marked(&*engine, 99)).await, Err(CommitError::Closed)));
    assert!(matches!(engine.snapshot().await, Err(ReadError::Closed)));
    engine.close().await;

    if let Some(again) = factory.reopen(engine) {
        let snapshot = again.snapshot().await.unwrap();
        let marks: Vec<Mark> = snapshot.scan(Scan::prefix::<Mark>((), 999)).await.unwrap();
        assert_eq!(marks.len(), 20);
        assert_eq!(snapshot.position().get(), 20);
        assert_eq!(again.positions().borrow().get(), 20);
        drop(snapshot);
        assert_eq!(again.commit(marked(&*again, 20)).await.unwrap().first.get(), 21);
        again.close().await;
    }
}

pub async fn ids_are_reserved_once(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let blocks = join_all((0..5).map(|_| reserve_ids(engine, "event", 10))).await;
    let mut ids = Vec::new();
    for block in blocks {
        let mut block = block.unwrap();
        while let Some(id) = block.take() {
            ids.push(id);
        }
    }
    ids.sort_unstable();
    assert_eq!(ids, (1..=50).collect::<Vec<_>>());
    engine.close().await;
}

/// The same random batches on this engine and on the memory engine: the same answers, the same rows in the end,
/// and the same rows after the store was closed and opened again.
pub async fn random_batches_leave_what_the_memory_engine_has(factory: &dyn Factory) {
    let config = Config { failure_persistence: None, max_shrink_iters: 200, ..Config::with_cases(40) };
    let batches = proptest::collection::vec(random::batch(), 1..25);
    let mut runner = TestRunner::new(config);
    // The runner is synchronous, and a runtime does not nest: each case runs on a thread of its own.
    let result = runner.run(&batches, |batches| {
        let run = || super::super::run(async || compare(factory, batches).await);
        let joined = std::thread::scope(|scope| scope.spawn(run).join());
        joined.map_err(|_| TestCaseError::fail("the engines differ; the panic above says where"))
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

async fn compare(factory: &dyn Factory, batches: Vec<Batch>) {
    let (tested, model) = (factory.fresh(), MemoryEngine::new(&identity()));
    // In groups, so that the tested engine commits several at once.
    for group in batches.chunks(5) {
        let (ours, theirs) = (apply(&*tested, group).await, apply(&model, group).await);
        assert_eq!(
            ours.iter().map(outcome).collect::<Vec<_>>(),
            theirs.iter().map(outcome).collect::<Vec<_>>()
        );
    }
    let expected = dump(&model).await.unwrap();
    assert_eq!(dump(&*tested).await.unwrap(), expected);
    tested.close().await;
    if let Some(again) = factory.reopen(tested) {
        assert_eq!(dump(&*again).await.unwrap(), expected, "after opening the store again");
        again.close().await;
    }
}

async fn apply(engine: &dyn Engine, group: &[Batch]) -> Vec<Result<Committed, CommitError>> {
    let fence = batch(engine).fence;
    let fenced = group.iter().map(|batch| Batch { fence, ..batch.clone() });
    join_all(fenced.map(|batch| engine.commit(batch)).collect::<Vec<_>>()).await
}

fn outcome(result: &Result<Committed, CommitError>) -> String {
    match result {
        Ok(committed) => format!("first {}", committed.first),
        Err(error) => error.to_string(),
    }
}

/// Random batches from a seed, for tests that need the same ones again.
#[must_use]
pub fn seeded_batches(count: usize) -> Vec<Batch> {
    let mut runner = TestRunner::deterministic();
    let tree = proptest::collection::vec(random::batch(), count).new_tree(&mut runner);
    tree.map(|tree| tree.current()).unwrap_or_default()
}
