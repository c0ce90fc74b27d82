//! The bounds of the engine: space, snapshots, queue.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use myelin_model::{Pos, RoomNid};
use myelin_store::conformance::{KEYSPACES, Mark, Note, batch, identity, note};
use myelin_store::{CommitError, Engine, Reader, Scan};
use myelin_store_sql::{SqliteEngine, SqliteOptions};
use tempfile::TempDir;

fn engine(folder: &TempDir, options: SqliteOptions) -> SqliteEngine {
    let options = SqliteOptions { extra_keyspaces: KEYSPACES, ..options };
    SqliteEngine::open(&folder.path().join("store.db"), &identity(), options).unwrap()
}

fn large(room: i64, pos: i64) -> Note {
    Note { body: vec![1; 100_000].into(), ..note(room, Pos::new(pos)) }
}

#[tokio::test]
async fn a_full_disk_refuses_whole_batches_and_takes_more_when_there_is_space_again() {
    let folder = TempDir::new().unwrap();
    let engine = engine(&folder, SqliteOptions { max_pages: Some(600), ..SqliteOptions::default() });
    let put = |pos| {
        let mut batch = batch(&engine);
        batch.put(&Mark { id: pos });
        batch.put(&large(1, pos));
        batch.next_pos();
        engine.commit(batch)
    };
    let mut fitted = 0;
    let error = loop {
        match put(fitted).await {
            Ok(committed) => assert_eq!(committed.first.get(), fitted + 1),
            Err(error) => break error,
        }
        fitted += 1;
        assert!(fitted < 100);
    };
    assert!(matches!(error, CommitError::Full), "{error:?}");
    // Several in one transaction, too: all are refused, none by half.
    let refused = futures_util::future::join_all((200..204).map(&put)).await;
    assert!(refused.iter().all(|result| matches!(result, Err(CommitError::Full))), "{refused:?}");
    let snapshot = engine.snapshot().await.unwrap();
    assert_eq!(snapshot.position().get(), fitted);
    assert_eq!(snapshot.scan::<Mark>(Scan::prefix::<Mark>((), 999)).await.unwrap().len() as i64, fitted);
    drop(snapshot);
    // A small batch may still fit, and makes room.
    let mut free = batch(&engine);
    free.delete_range(Scan::prefix::<Note>((RoomNid(1),), 1));
    engine.commit(free).await.unwrap();
    assert_eq!(put(300).await.unwrap().first.get(), fitted + 1, "positions have no hole from the failure");
}

#[tokio::test]
async fn one_snapshot_too_many_waits_for_another_to_end() {
    let folder = TempDir::new().unwrap();
    let engine = engine(&folder, SqliteOptions { readers: 2, ..SqliteOptions::default() });
    let first = engine.snapshot().await.unwrap();
    let second = engine.snapshot().await.unwrap();
    let mut third = engine.snapshot();
    assert!((&mut third).now_or_never().is_none());
    drop(first);
    drop(third.await.unwrap());
    // Closing does not wait for readers; they go on with what they have.
    engine.close().await;
    assert_eq!(second.get::<Mark>(&(1,)).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_the_queue_holds_waits_outside_and_is_committed() {
    let folder = TempDir::new().unwrap();
    let engine = Arc::new(engine(&folder, SqliteOptions::default()));
    let commits = (0..600).map(|n| {
        let mut batch = batch(&*engine);
        batch.put(&large(2, n % 5));
        batch.put(&Mark { id: n });
        engine.commit(batch)
    });
    let commits: Vec<_> = commits.collect();
    let results =
        tokio::time::timeout(Duration::from_secs(120), futures_util::future::join_all(commits)).await;
    assert!(results.unwrap().iter().all(Result::is_ok));
    let marks = Scan::prefix::<Mark>((), 999);
    assert_eq!(engine.snapshot().await.unwrap().scan::<Mark>(marks).await.unwrap().len(), 600);
}

#[tokio::test]
async fn the_log_does_not_grow_without_bound() {
    let folder = TempDir::new().unwrap();
    let engine = engine(&folder, SqliteOptions::default());
    for n in 0..1200 {
        let mut batch = batch(&engine);
        batch.put(&large(3, n % 7));
        engine.commit(batch).await.unwrap();
    }
    // 120 MB were written.
    let log = std::fs::metadata(folder.path().join("store.db-wal")).unwrap().len();
    assert!(log < 100 << 20, "the log has {log} bytes");
    engine.close().await;
    assert!(!folder.path().join("store.db-wal").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_log_does_not_grow_without_bound_while_many_write_and_read() {
    let folder = TempDir::new().unwrap();
    let options = SqliteOptions { log_pages: 128, ..SqliteOptions::default() };
    let engine = Arc::new(engine(&folder, options));
    let log = folder.path().join("store.db-wal");
    let worker = |room: i64| {
        let (engine, log) = (Arc::clone(&engine), log.clone());
        tokio::spawn(async move {
            let mut longest = 0;
            for n in 0..400 {
                let mut batch = batch(&*engine);
                batch.put(&Note { body: vec![1; 8_000].into(), ..note(room, Pos::new(n % 50)) });
                engine.commit(batch).await.unwrap();
                let snapshot = engine.snapshot().await.unwrap();
                snapshot.scan::<Note>(Scan::prefix::<Note>((RoomNid(room),), 3)).await.unwrap();
                longest = longest.max(std::fs::metadata(&log).unwrap().len());
            }
            longest
        })
    };
    let workers: Vec<_> = (1..=16).map(worker).collect();
    let longest = futures_util::future::join_all(workers).await.into_iter().map(Result::unwrap).max();
    // 50 MB were written; the log starts over after 2 MB, or as much later as a copy takes that is under way.
    assert!(longest < Some(12 << 20), "the log had {longest:?} bytes");
}

#[tokio::test]
async fn deleted_content_leaves_the_file() {
    let folder = TempDir::new().unwrap();
    let engine = engine(&folder, SqliteOptions::default());
    let secret = b"a sentence that somebody redacted";
    let mut put = batch(&engine);
    for n in 0..50 {
        put.put(&Note { body: secret.as_slice().into(), ..note(n, Pos::new(1)) });
    }
    engine.commit(put).await.unwrap();
    let mut redact = batch(&engine);
    for n in 0..50 {
        redact.put(&note(n, Pos::new(1)));
    }
    engine.commit(redact).await.unwrap();
    engine.close().await;
    let bytes = std::fs::read(folder.path().join("store.db")).unwrap();
    assert!(!bytes.windows(secret.len()).any(|window| window == secret));
}
