//! A disk that refuses: strace answers in its place.

use myelin_store::conformance::identity;
use myelin_store_sql::{DurabilityMode, SqliteEngine};
use tempfile::TempDir;

use super::{STORE, child, options, trace, traced};

/// How many such calls the child makes before its first commit. strace counts for each thread; the thread that opens the
/// store makes most of these, the one that commits makes only those after.
fn while_opening(call: &str) -> usize {
    let folder = TempDir::new().unwrap();
    let log = traced(folder.path(), DurabilityMode::Sync, &["-e", &format!("trace=write,{call}")]);
    let log = std::fs::read_to_string(log).unwrap();
    let setup = log.lines().position(|line| line.contains(r"\x73\x65\x74\x75\x70")).unwrap();
    log.lines().take(setup).filter(|line| line.contains(call) && !line.contains("resumed>")).count()
}

/// Runs the child with the fault and checks what it left. The fault hits the `after`-th call after the store is open.
fn with_fault(call: &str, error: &str, after: usize, times: usize, message: &str) {
    let first = while_opening(call) + after;
    let fault = format!("inject={call}:error={error}:when={first}..{}", first + times - 1);
    let folder = TempDir::new().unwrap();
    let mode = DurabilityMode::Sync;
    let log = traced(folder.path(), mode, &["-e", "trace=write,pwrite64,fdatasync", "-e", &fault]);
    let events = trace::read(&log, &folder.path().join("data"));
    let answers: Vec<String> = events
        .into_iter()
        .filter_map(|event| match event {
            trace::Event::Acknowledged(line) => Some(line),
            _ => None,
        })
        .collect();
    let failed = answers.iter().filter(|line| line.starts_with("failed")).count();
    assert!(failed > 0, "{fault}: nobody was told");
    assert!(
        answers.iter().filter(|line| line.starts_with("failed")).all(|line| line.contains(message)),
        "{answers:?}"
    );
    let committed = (answers.len() - failed) as u64;
    assert_eq!(committed, 1 + child::WRITERS * child::EACH, "{fault}: the engine goes on");
    let path = folder.path().join("data").join(STORE);
    let engine = SqliteEngine::open(&path, &identity(), options(mode)).unwrap();
    child::check(&engine, mode, &answers.into_iter().collect(), &fault);
}

#[test]
fn a_disk_without_room_fails_whole_batches_and_the_engine_goes_on() {
    with_fault("pwrite64", "ENOSPC", 60, 4, "full");
}

#[test]
fn a_disk_that_fails_a_write_fails_whole_batches_and_the_engine_goes_on() {
    with_fault("pwrite64", "EIO", 90, 1, "could not write");
}

#[test]
fn a_disk_that_fails_a_sync_fails_whole_batches_and_the_engine_goes_on() {
    // Where the log starts over just then, up to two of them are its own, and no batch fails for those.
    with_fault("fdatasync", "EIO", 5, 3, "could not write");
}
