//! What a power cut leaves.
//!
//! A child process commits under strace, which writes down every write and every fsync. The test replays that log up to
//! a point, drops, tears or reorders what had not been synced by then, opens what is left with the engine, and checks
//! that every batch that was acknowledged is there as a whole, and no batch by half.
//!
//! `POWER_CUTS` is the number of cuts (default 30 a mode), `POWER_SEED` where the random choices begin.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod child;
mod disk;
mod faults;
mod trace;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use myelin_store::conformance::{KEYSPACES, identity};
use myelin_store_sql::{DurabilityMode, SqliteEngine, SqliteOptions};
use rusqlite::Connection;
use tempfile::TempDir;

use self::disk::{Cut, Disk};
use self::trace::Event;

const STORE: &str = "store.db";

/// The options of the child and of whoever opens what it left. The log is copied back often, so that cuts meet it.
fn options(durability: DurabilityMode) -> SqliteOptions {
    SqliteOptions { durability, log_pages: 40, extra_keyspaces: KEYSPACES, ..SqliteOptions::default() }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Runs this test binary's child in `folder` under strace with these arguments; the path of the log.
fn traced(folder: &Path, mode: DurabilityMode, arguments: &[&str]) -> PathBuf {
    let log = folder.join("trace");
    std::fs::create_dir(folder.join("data")).unwrap();
    let output = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "2000000", "-o"])
        .arg(&log)
        .args(arguments)
        .arg(std::env::current_exe().unwrap())
        .args(["child::writes_when_told_to", "--exact", "--nocapture"])
        .env(child::FOLDER, folder)
        .env(child::MODE, if mode == DurabilityMode::Sync { "sync" } else { "relaxed" })
        .output()
        .expect("strace must be installed: this test records the writes of a process with it");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
    log
}

const WRITES: &str = "trace=openat,write,writev,pwrite64,pwritev,fsync,fdatasync,ftruncate,fallocate,unlink,unlinkat,\
                      rename,renameat,renameat2,mmap";

fn cut_everywhere(mode: DurabilityMode) {
    let folder = TempDir::new().unwrap();
    let log = traced(folder.path(), mode, &["-e", WRITES]);
    let events = trace::read(&log, &folder.path().join("data"));
    let count = |what: fn(&Event) -> bool| events.iter().filter(|event| what(event)).count();
    let acknowledged = count(|event| matches!(event, Event::Acknowledged(_)));
    let syncs = count(|event| matches!(event, Event::Sync { .. }));
    assert_eq!(acknowledged as u64, 1 + child::WRITERS * child::EACH, "the child committed everything");
    let seed = number("POWER_SEED", 1);
    let cuts = number("POWER_CUTS", 30);
    println!("{} events, {syncs} syncs, {acknowledged} commits, {cuts} cuts, seed {seed}", events.len());

    let mut random = disk::Random::new(seed);
    let mut points: Vec<usize> = (0..cuts).map(|_| random.below(events.len())).collect();
    points.sort_unstable();
    let mut disk = Disk::default();
    let mut seen = BTreeSet::new();
    let mut done = 0;
    for point in points {
        for event in &events[done..point] {
            if let Event::Acknowledged(line) = event {
                seen.insert(line.clone());
            }
            disk.apply(event);
        }
        done = done.max(point);
        for cut in Cut::ALL {
            let place =
                TempDir::new_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "." }).unwrap();
            disk.leave(cut, &mut random, place.path());
            let what = format!("{mode:?}, seed {seed}, event {point} of {}, {cut:?}", events.len());
            check(place.path(), mode, &seen, &what);
        }
    }
}

/// Opens what is left and checks it.
fn check(folder: &Path, mode: DurabilityMode, acknowledged: &BTreeSet<String>, what: &str) {
    let path = folder.join(STORE);
    let engine = SqliteEngine::open(&path, &identity(), options(mode))
        .unwrap_or_else(|error| panic!("{what}: the store does not open: {error}"));
    child::check(&engine, mode, acknowledged, what);
    drop(engine);
    let raw = Connection::open(&path).unwrap();
    let sound: String = raw.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok", "{what}");
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_half_written() {
    cut_everywhere(DurabilityMode::Sync);
}

#[test]
fn the_relaxed_mode_loses_only_what_may_lag_and_only_from_the_end() {
    cut_everywhere(DurabilityMode::Relaxed);
}
