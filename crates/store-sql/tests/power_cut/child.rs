//! What the traced process commits, and what must be found of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use myelin_model::{Pos, RoomNid};
use myelin_store::conformance::{Mark, Note, Piece, Tally, batch, identity, run};
use myelin_store::{Batch, CommitError, Durability, Engine, Reader, Scan};
use myelin_store_sql::{DurabilityMode, SqliteEngine};

/// Where the child works; without it, the child's test does nothing.
pub(crate) const FOLDER: &str = "POWER_CUT_FOLDER";
/// Its mode of durability.
pub(crate) const MODE: &str = "POWER_CUT_MODE";

pub(crate) const WRITERS: u64 = 4;
pub(crate) const EACH: u64 = 40;
/// How many of its last batches each writer keeps the pieces of.
const KEPT: u64 = 5;

/// Not a test of its own: the process that the others trace.
#[test]
fn writes_when_told_to() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let mode = match std::env::var(MODE).unwrap().as_str() {
        "relaxed" => DurabilityMode::Relaxed,
        _ => DurabilityMode::Sync,
    };
    let path = folder.join("data").join(super::STORE);
    let engine: Arc<dyn Engine> =
        Arc::new(SqliteEngine::open(&path, &identity(), super::options(mode)).unwrap());
    // Each line is one write to this file, which the log of the trace shows among the others.
    let answers = Arc::new(Mutex::new(File::create(folder.join("data").join("answers")).unwrap()));
    let say =
        |answers: &Mutex<File>, line: String| answers.lock().unwrap().write_all(line.as_bytes()).unwrap();
    let mut setup = batch(&*engine);
    setup.put(&Tally { name: "total".to_owned(), count: 0 });
    run(async || {
        engine.commit(setup).await.unwrap();
    });
    say(&answers, "setup".to_owned());
    let writer = |writer: u64| {
        let (engine, answers) = (Arc::clone(&engine), Arc::clone(&answers));
        move || {
            run(async || {
                for n in 0..EACH {
                    for line in commit(&*engine, writer, n).await {
                        say(&answers, line);
                    }
                }
            });
        }
    };
    let writers: Vec<_> = (0..WRITERS).map(|n| std::thread::spawn(writer(n))).collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    run(async || engine.close().await);
}

/// Commits one batch, again where the disk refuses; what there is to say about it.
async fn commit(engine: &dyn Engine, writer: u64, n: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let id = id(writer, n);
    for _ in 0..20 {
        let batch = write(engine, writer, n);
        let kind = if batch.durability == Durability::Required { "must" } else { "may" };
        match engine.commit(batch).await {
            Ok(_) => lines.push(format!("{kind} {id}")),
            // The disk failed after it had taken the batch.
            Err(CommitError::Conflict { .. }) if !lines.is_empty() => lines.push(format!("{kind} {id}")),
            Err(error @ (CommitError::Full | CommitError::Unavailable(_))) => {
                lines.push(format!("failed {id}, {error}"));
                continue;
            }
            Err(error) => panic!("{error:?}"),
        }
        return lines;
    }
    panic!("the store does not recover: {lines:?}")
}

/// The number of a writer's `n`-th batch.
fn id(writer: u64, n: u64) -> i64 {
    (writer * 1000 + n) as i64
}

fn body(id: i64) -> Bytes {
    let len = (id * 7919 % 9000) as usize;
    (0..len).map(|n| (n as i64 * 31 + id) as u8).collect()
}

fn hash(id: i64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

fn write(engine: &dyn Engine, writer: u64, n: u64) -> Batch {
    let id = id(writer, n);
    let mut batch = batch(engine);
    let pos = batch.next_pos();
    batch.insert(&Mark { id });
    batch.put(&Note { room: RoomNid(id), pos, label: None, rank: Some(id), body: body(id) });
    for part in 0..id % 3 {
        let data = body(id + part);
        batch.put(&Piece { hash: hash(id), name: "p".to_owned(), part, data, changed: pos, note: None });
    }
    batch.add::<Tally>(&("total".to_owned(),), "count", 1);
    batch.put(&Tally { name: format!("writer {writer}"), count: n as i64 });
    if n >= KEPT {
        batch.delete_range(Scan::prefix::<Piece>((hash(id - KEPT as i64),), 1));
    }
    batch.durability = if n.is_multiple_of(3) { Durability::Required } else { Durability::MayLag };
    batch
}

/// Checks a store that was opened after a cut.
pub(crate) fn check(engine: &dyn Engine, mode: DurabilityMode, answers: &BTreeSet<String>, what: &str) {
    run(async || {
        let snapshot = engine.snapshot().await.unwrap();
        let all = usize::MAX;
        let marks: Vec<Mark> = snapshot.scan(Scan::prefix::<Mark>((), all)).await.unwrap();
        let notes: Vec<Note> = snapshot.scan(Scan::index::<Note>(Note::BY_POS, (), all)).await.unwrap();
        let pieces: Vec<Piece> = snapshot.scan(Scan::prefix::<Piece>((), all)).await.unwrap();
        let tallies: Vec<Tally> = snapshot.scan(Scan::prefix::<Tally>((), all)).await.unwrap();
        let tallies: BTreeMap<&str, i64> =
            tallies.iter().map(|tally| (tally.name.as_str(), tally.count)).collect();
        let present: BTreeSet<i64> = marks.iter().map(|mark| mark.id).collect();

        assert_eq!(tallies.get("total").copied().unwrap_or(0), present.len() as i64, "{what}");
        let rooms: BTreeSet<i64> = notes.iter().map(|note| note.room.0).collect();
        assert_eq!(rooms, present, "{what}");
        assert!(notes.iter().all(|note| note.body == body(note.room.0)), "{what}");
        let positions: Vec<i64> = notes.iter().map(|note| note.pos.get()).collect();
        assert_eq!(
            positions,
            (1..=present.len() as i64).collect::<Vec<_>>(),
            "{what}: what is lost is the end"
        );
        assert!(snapshot.position() >= Pos::new(present.len() as i64), "{what}");
        let mut expected = Vec::new();
        for writer in 0..WRITERS {
            let own = (0..EACH).take_while(|n| present.contains(&id(writer, *n))).count() as u64;
            let counted = tallies.get(format!("writer {writer}").as_str()).copied().unwrap_or(-1);
            assert_eq!(counted, own as i64 - 1, "{what}: writer {writer}");
            for id in (own.saturating_sub(KEPT)..own).map(|n| id(writer, n)) {
                expected.extend((0..id % 3).map(|part| (hash(id), part, body(id + part))));
            }
        }
        let pieces: Vec<_> = pieces.into_iter().map(|piece| (piece.hash, piece.part, piece.data)).collect();
        assert_eq!(pieces, expected, "{what}");
        assert!(!answers.contains("setup") || tallies.contains_key("total"), "{what}");
        for line in answers {
            let Some((kind, id)) = line.split_once(' ') else { continue };
            let durable = match kind {
                "must" => true,
                "may" => mode == DurabilityMode::Sync,
                _ => false,
            };
            assert!(
                !durable || present.contains(&id.parse().unwrap()),
                "{what}: {line} was acknowledged and is lost"
            );
        }
        drop(snapshot);
        let mut next = batch(engine);
        next.put(&Mark { id: -1 });
        engine.commit(next).await.unwrap();
    });
}
