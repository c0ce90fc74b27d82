//! Snapshots and scans.

use bytes::Bytes;
use myelin_model::{Pos, RoomNid};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::super::{Entry, Factory, KEYSPACES, Mark, Note, Piece, Tally, batch, note, random};
use crate::{Direction, Keyspace, ReadError, Reader, Row, Scan};

pub async fn a_snapshot_sees_one_moment(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let commit = async |count: i64| {
        let mut batch = batch(engine);
        let pos = batch.next_pos();
        batch.put(&note(1, pos));
        batch.put(&Tally { name: "n".to_owned(), count });
        if count > 1 {
            batch.delete::<Note>(&(RoomNid(1), Pos::new(count - 1)));
        }
        engine.commit(batch).await.unwrap();
    };
    let mut snapshots = Vec::new();
    for count in 1..=5 {
        commit(count).await;
        snapshots.push((count, engine.snapshot().await.unwrap()));
    }
    commit(6).await;
    // Not in the order they were made, so that letting one go shows if it takes something from the others.
    for index in [2, 0, 2, 1, 0] {
        let (count, snapshot) = snapshots.remove(index);
        assert_eq!(snapshot.position(), Pos::new(count));
        let tally = snapshot.get::<Tally>(&("n".to_owned(),)).await.unwrap().unwrap();
        assert_eq!(tally.count, count);
        let by_count = Scan::index::<Tally>(Tally::BY_COUNT, (), 9);
        assert_eq!(snapshot.scan::<Tally>(by_count).await.unwrap(), [tally]);
        let notes: Vec<Note> = snapshot.scan(Scan::prefix::<Note>((), 9)).await.unwrap();
        assert_eq!(notes, [note(1, Pos::new(count))]);
        commit(6).await;
    }
    engine.close().await;
}

pub async fn a_snapshot_contains_every_commit_acknowledged_before_it(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    for id in 0..30 {
        let mut batch = batch(engine);
        batch.next_pos();
        batch.put(&Mark { id });
        let first = engine.commit(batch).await.unwrap().first;
        let snapshot = engine.snapshot().await.unwrap();
        assert!(snapshot.position() >= first);
        assert_eq!(snapshot.get::<Mark>(&(id,)).await.unwrap(), Some(Mark { id }));
    }
    engine.close().await;
}

pub async fn one_row_is_read_as_it_is_now(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let snapshot = engine.snapshot().await.unwrap();
    for id in 0..30 {
        assert_eq!(engine.get_now::<Mark>(&(id,)).await.unwrap(), None);
        let mut put = batch(engine);
        put.put(&Mark { id });
        engine.commit(put).await.unwrap();
        assert_eq!(engine.get_now::<Mark>(&(id,)).await.unwrap(), Some(Mark { id }));
        assert_eq!(snapshot.get::<Mark>(&(id,)).await.unwrap(), None, "a snapshot beside stands still");
    }
    let mut delete = batch(engine);
    delete.delete::<Mark>(&(7,));
    engine.commit(delete).await.unwrap();
    assert_eq!(engine.get_now::<Mark>(&(7,)).await.unwrap(), None);
    let unfit = engine.get_row(Mark::DEF, Vec::new()).await;
    assert!(unfit.is_err(), "{unfit:?}");
    engine.close().await;
    assert!(matches!(engine.get_now::<Mark>(&(0,)).await, Err(ReadError::Closed)));
}

pub async fn rows_come_back_as_they_were_put(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let texts = ["", "a", "\0", "a\0b", "é", "🦀", "'; DROP TABLE meta; --", "x\u{10FFFF}"];
    let entries: Vec<Entry> = texts
        .iter()
        .zip([i64::MIN, -1, 0, 1, i64::MAX, 1 << 40, 2, 3])
        .map(|(text, id)| Entry { id, text: Some((*text).to_owned()), number: id })
        .chain([Entry { id: 77, text: None, number: 0 }])
        .collect();
    let piece = |hash: &'static [u8], note: Option<&'static [u8]>| Piece {
        hash: Bytes::from_static(hash),
        name: String::new(),
        part: 0,
        data: vec![0xff; 100_000].into(),
        changed: Pos::new(1),
        note: note.map(Bytes::from_static),
    };
    let pieces = [piece(b"", None), piece(b"\0", Some(b"")), piece(b"\0\xff", Some(b"\0"))];
    let mut batch = batch(engine);
    entries.iter().for_each(|entry| batch.put(entry));
    pieces.iter().for_each(|piece| batch.put(piece));
    engine.commit(batch).await.unwrap();

    let snapshot = engine.snapshot().await.unwrap();
    let mut keys: Vec<(i64,)> = entries.iter().map(|entry| (entry.id,)).collect();
    keys.insert(1, (5555,));
    let mut found = snapshot.get_all::<Entry>(&keys).await.unwrap();
    assert_eq!(found.remove(1), None);
    assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), entries);
    assert_eq!(snapshot.scan::<Piece>(Scan::prefix::<Piece>((), 9)).await.unwrap(), pieces);
    let mut sorted = entries.clone();
    sorted.sort_by(|a, b| a.text.cmp(&b.text));
    assert_eq!(snapshot.scan::<Entry>(Scan::index::<Entry>(Entry::BY_TEXT, (), 99)).await.unwrap(), sorted);
    assert_eq!(snapshot.get_all::<Entry>(&[]).await.unwrap(), []);
    drop(snapshot);
    engine.close().await;
}

/// Every kind of scan over rows with few distinct values, against [`Scan::contains`] and a sort.
pub async fn scans_of_every_shape_agree_with_their_definition(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let mut runner = TestRunner::deterministic();
    for keyspace in KEYSPACES {
        let rows = proptest::collection::vec(random::row(keyspace, 0), 60);
        let mut batch = batch(engine);
        for row in rows.new_tree(&mut runner).unwrap().current() {
            batch.ops.push(crate::Op::Put { keyspace, row });
        }
        engine.commit(batch).await.unwrap();
    }
    let snapshot = engine.snapshot().await.unwrap();
    for keyspace in KEYSPACES {
        let all = Scan { keyspace, ..Scan::prefix::<Mark>((), usize::MAX) };
        let rows = snapshot.scan_many(vec![all]).await.unwrap().remove(0);
        let scans = proptest::collection::vec(random::scan(keyspace, 0), 3000);
        let scans = scans.new_tree(&mut runner).unwrap().current();
        let found = snapshot.scan_many(scans.clone()).await.unwrap();
        assert_eq!(found.len(), scans.len());
        for (scan, found) in scans.iter().zip(found) {
            assert_eq!(found, expected(scan, &rows), "{scan:?}");
        }
    }
    drop(snapshot);
    engine.close().await;
}

fn expected(scan: &Scan, rows: &[Row]) -> Vec<Row> {
    let order = scan.order();
    let place = |row: &Row| order.iter().map(|column| row[*column].clone()).collect::<Vec<_>>();
    let mut within: Vec<&Row> = rows.iter().filter(|row| scan.contains(&place(row))).collect();
    within.sort_by_key(|row| place(row));
    if scan.direction == Direction::Backward {
        within.reverse();
    }
    within.into_iter().take(scan.limit).cloned().collect()
}

pub async fn a_scan_that_does_not_fit_its_order_is_an_error(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let snapshot = engine.snapshot().await.unwrap();
    let wrong = [
        Scan::prefix::<Tally>((1_i64,), 1),
        Scan::prefix::<Tally>(("a".to_owned(), 1_i64), 1),
        Scan::prefix::<Note>((RoomNid(1),), 1).after((Pos::new(1), 1_i64)),
        Scan::prefix::<Note>((), 1).before((None::<i64>,)),
        Scan::index::<Note>(Note::BY_POS, (Pos::pending(0),), 1),
    ];
    for scan in wrong {
        let result = snapshot.scan_many(vec![scan.clone()]).await;
        assert!(matches!(result, Err(ReadError::Unavailable(_))), "{scan:?}: {result:?}");
    }
    assert!(snapshot.get_many(Note::DEF, vec![vec![]]).await.is_err());
    drop(snapshot);
    engine.close().await;
}

/// Bulk reads find each key, in the order asked for, however near they lie and whichever are missing.
pub async fn keys_that_lie_near_each_other_are_each_found(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let entry = |id: i64| Entry { id, text: Some(format!("entry {id}")), number: -id };
    let is_there = |id: i64| id % 5 != 0 && (-20..=60).contains(&id);
    let mut batch = batch(engine);
    (-20..=60).filter(|id| is_there(*id)).for_each(|id| batch.put(&entry(id)));
    engine.commit(batch).await.unwrap();
    let snapshot = engine.snapshot().await.unwrap();
    let dense: Vec<i64> = (-25..=65).collect();
    let every_second: Vec<i64> = (-24..=64).step_by(2).collect();
    let mut mixed = [vec![40, 3, 3, i64::MIN, i64::MAX], dense.clone()].concat();
    mixed.extend(every_second.iter().rev());
    for ids in [dense, every_second, mixed] {
        let keys: Vec<(i64,)> = ids.iter().map(|id| (*id,)).collect();
        let wanted: Vec<_> = ids.iter().map(|id| is_there(*id).then(|| entry(*id))).collect();
        assert_eq!(snapshot.get_all::<Entry>(&keys).await.unwrap(), wanted);
    }
    drop(snapshot);
    engine.close().await;
}
