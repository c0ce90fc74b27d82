//! What happens when a store is opened: whose it is, who has it, and what its tables become.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

use myelin_model::{Fence, Shard};
use myelin_store::{Batch, Engine, Identity, Keyspace, KeyspaceDef, OpenError, Reader, Scan, keyspace};
use myelin_store_sql::{DurabilityMode, SqliteEngine, SqliteOptions};
use rusqlite::Connection;
use tempfile::TempDir;

keyspace! {
    /// A keyspace as a release declared it.
    pub struct Old in "thing" {
        key { name: String }
        value { size: i64 }
        index { BY_SIZE = "by_size" (size) }
    }
}

keyspace! {
    /// The same in the next release: a column between the old ones, another index, and one declared anew.
    pub struct New in "thing" {
        key { name: String }
        value { colour: Option<String>, size: i64 }
        index { BY_SIZE = "by_size" (size, colour), BY_COLOUR = "by_colour" (colour) }
    }
}

keyspace! {
    /// A column that can't be added.
    pub struct Wrong in "thing" {
        key { name: String }
        value { size: i64, weight: i64 }
        index {}
    }
}

keyspace! {
    /// Another key.
    pub struct Rekeyed in "thing" {
        key { name: String, size: i64 }
        value {}
        index {}
    }
}

keyspace! {
    /// Another type.
    pub struct Retyped in "thing" {
        key { name: String }
        value { size: String }
        index {}
    }
}

fn identity(name: &str) -> Identity {
    Identity { server_name: name.to_owned() }
}

fn open_with(path: &Path, keyspaces: &'static [&'static KeyspaceDef]) -> Result<SqliteEngine, OpenError> {
    let options = SqliteOptions { extra_keyspaces: keyspaces, ..SqliteOptions::default() };
    SqliteEngine::open(path, &identity("a.example"), options)
}

fn open(path: &Path) -> Result<SqliteEngine, OpenError> {
    open_with(path, &[])
}

fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

fn batch(engine: &dyn Engine) -> Batch {
    let shard = Shard::of("thing");
    Batch::new(Fence { shard, epoch: engine.epoch(shard) })
}

#[test]
fn a_store_of_another_server_is_left_alone() {
    let (_folder, path) = place();
    drop(open(&path).unwrap());
    let before = std::fs::read(&path).unwrap();
    let error = SqliteEngine::open(&path, &identity("b.example"), SqliteOptions::default()).unwrap_err();
    let OpenError::Foreign { found, expected, .. } = &error else { panic!("{error:?}") };
    assert_eq!((found.as_str(), expected.as_str()), ("a.example", "b.example"));
    assert_eq!(error.to_string().lines().count(), 1);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_store_of_a_newer_release_is_left_alone() {
    let (_folder, path) = place();
    drop(open(&path).unwrap());
    let raw = Connection::open(&path).unwrap();
    raw.execute("UPDATE meta SET value = '99' WHERE name = 'schema_version'", []).unwrap();
    drop(raw);
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    let raw = Connection::open(&path).unwrap();
    let epoch: i64 = raw.query_row("SELECT max(epoch) FROM shard", [], |row| row.get(0)).unwrap();
    assert_eq!(epoch, 1, "nothing was changed");
}

#[test]
fn an_open_store_is_locked_until_its_engine_is_gone() {
    let (_folder, path) = place();
    let first = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    drop(first);
    drop(open(&path).unwrap());
}

#[test]
fn whatever_is_no_store_is_refused_in_one_line() {
    let (folder, path) = place();
    let refused = |path: &Path| {
        let error = open(path).unwrap_err();
        assert!(matches!(error, OpenError::Unusable { .. }), "{error:?}");
        let line = error.to_string();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    };
    std::fs::write(&path, b"a text file that is long enough to have been a database header, one would think")
        .unwrap();
    assert!(refused(&path).contains("not a database"));

    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(refused(&other).contains("not one of Myelin's"));

    refused(&folder.path().join("no such folder").join("store.db"));
    refused(folder.path());
}

#[test]
fn epochs_rise_each_time_the_store_is_opened() {
    let (_folder, path) = place();
    for expected in 1..=3 {
        let engine = open(&path).unwrap();
        assert!(Shard::all().all(|shard| engine.epoch(shard).0 == expected));
    }
}

#[tokio::test]
async fn a_newer_declaration_adds_columns_and_indexes_and_the_older_still_works() {
    let (_folder, path) = place();
    let scan_old = async |engine: &SqliteEngine| {
        let snapshot = engine.snapshot().await.unwrap();
        snapshot.scan::<Old>(Scan::index::<Old>(Old::BY_SIZE, (), 9)).await.unwrap()
    };
    let old = |name: &str, size| Old { name: name.to_owned(), size };
    let new = |name: &str, colour: Option<&str>, size| New {
        name: name.to_owned(),
        colour: colour.map(str::to_owned),
        size,
    };

    let engine = open_with(&path, &[Old::DEF]).unwrap();
    let mut first = batch(&engine);
    first.put(&old("a", 2));
    first.put(&old("b", 1));
    engine.commit(first).await.unwrap();
    drop(engine);

    let engine = open_with(&path, &[New::DEF]).unwrap();
    let mut second = batch(&engine);
    second.put(&new("c", Some("red"), 3));
    engine.commit(second).await.unwrap();
    let snapshot = engine.snapshot().await.unwrap();
    let by_size: Vec<New> = snapshot.scan(Scan::index::<New>(New::BY_SIZE, (), 9)).await.unwrap();
    assert_eq!(by_size, [new("b", None, 1), new("a", None, 2), new("c", Some("red"), 3)]);
    let red: Vec<New> =
        snapshot.scan(Scan::index::<New>(New::BY_COLOUR, (Some("red".to_owned()),), 9)).await.unwrap();
    assert_eq!(red, [new("c", Some("red"), 3)]);
    drop(snapshot);
    drop(engine);

    // The previous release: it does not know the colour, and keeps it.
    let engine = open_with(&path, &[Old::DEF]).unwrap();
    assert_eq!(scan_old(&engine).await, [old("b", 1), old("a", 2), old("c", 3)]);
    let mut third = batch(&engine);
    third.put(&old("c", 0));
    engine.commit(third).await.unwrap();
    drop(engine);
    let engine = open_with(&path, &[New::DEF]).unwrap();
    let found = engine.snapshot().await.unwrap().get::<New>(&("c".to_owned(),)).await.unwrap();
    assert_eq!(found, Some(new("c", Some("red"), 0)));
}

#[test]
fn a_declaration_that_the_tables_cant_follow_is_refused_and_nothing_is_changed() {
    let (_folder, path) = place();
    drop(open_with(&path, &[Old::DEF]).unwrap());
    let before = std::fs::read(&path).unwrap();
    let cases: [(&'static [&'static KeyspaceDef], &str); 3] =
        [(&[Wrong::DEF], "weight"), (&[Rekeyed::DEF], "another key"), (&[Retyped::DEF], "another type")];
    for (declaration, part) in cases {
        let error = open_with(&path, declaration).unwrap_err().to_string();
        assert!(error.contains("thing") && error.contains(part), "{error}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn positions_jump_when_the_relaxed_mode_was_not_left_in_order() {
    let (folder, path) = place();
    let relaxed = SqliteOptions { durability: DurabilityMode::Relaxed, ..SqliteOptions::default() };
    let first = async |options| {
        let engine = SqliteEngine::open(&path, &identity("a.example"), options).unwrap();
        let mut batch = batch(&engine);
        batch.next_pos();
        let first = engine.commit(batch).await.unwrap().first.get();
        // What a crash would leave: the files as they are while the store is open.
        let crashed = folder.path().join("crashed.db");
        for suffix in ["", "-wal"] {
            let copy = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
            std::fs::copy(copy(&path), copy(&crashed)).unwrap();
        }
        (first, crashed)
    };
    assert_eq!(first(relaxed).await.0, 1);
    let (position, crashed) = first(relaxed).await;
    assert_eq!(position, 2, "closed in order, nothing can be lost");
    let after = SqliteEngine::open(&crashed, &identity("a.example"), SqliteOptions::default()).unwrap();
    assert!(after.positions().borrow().get() > 1 << 30);
    assert_eq!(first(SqliteOptions::default()).await.0, 3);
}

#[tokio::test]
async fn a_backup_knows_that_it_is_one() {
    let (folder, path) = place();
    let engine = open(&path).unwrap();
    let copy = folder.path().join("copy.db");
    engine.backup(copy.clone()).await.unwrap();
    let restored = async |engine: &SqliteEngine| {
        let key = (myelin_store::schema::node::RESTORED.to_owned(),);
        engine
            .snapshot()
            .await
            .unwrap()
            .get::<myelin_store::schema::node::Meta>(&key)
            .await
            .unwrap()
            .is_some()
    };
    assert!(!restored(&engine).await);
    assert!(restored(&open(&copy).unwrap()).await);
    assert!(engine.backup(folder.path().join("no such folder").join("copy.db")).await.is_err());
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("partial")), "{left:?}");
}
