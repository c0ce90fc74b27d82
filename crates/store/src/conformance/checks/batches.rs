//! What a batch may do, and when it is refused.

use bytes::Bytes;
use futures_util::future::{join, join_all};
use myelin_model::{Epoch, Pos, RoomNid};

use super::super::{Entry, Factory, Mark, Note, Tally, batch, dump, note};
use crate::schema::node::ShardEpoch;
use crate::{CommitError, Datum, Keyspace, MAX_BATCH_BYTES, Op, Reader, Scan};

pub async fn a_batch_is_applied_as_a_whole_or_not_at_all(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let mut first = batch(engine);
    first.put(&Mark { id: 1 });
    first.put(&Tally { name: "a".to_owned(), count: 1 });
    engine.commit(first).await.unwrap();
    let before = dump(engine).await.unwrap();

    let mut refused = batch(engine);
    refused.put(&Mark { id: 2 });
    refused.delete::<Mark>(&(1,));
    refused.insert(&Tally { name: "a".to_owned(), count: 9 });
    let error = engine.commit(refused).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict { keyspace: "conformance_tally" }), "{error:?}");
    assert_eq!(dump(engine).await.unwrap(), before);
    engine.close().await;
}

pub async fn expectations_see_the_store_before_the_batch(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let mut first = batch(engine);
    first.put(&Entry { id: 1, text: None, number: 5 });
    first.expect_absent::<Entry>(&(1,));
    engine.commit(first).await.unwrap();

    let conflict = async |build: &dyn Fn(&mut crate::Batch)| {
        let mut batch = batch(engine);
        build(&mut batch);
        batch.put(&Mark { id: 1 });
        matches!(engine.commit(batch).await, Err(CommitError::Conflict { .. }))
    };
    assert!(!conflict(&|b| b.expect_present::<Entry>(&(1,))).await);
    assert!(!conflict(&|b| b.expect_absent::<Entry>(&(2,))).await);
    assert!(!conflict(&|b| b.expect_column::<Entry>(&(1,), "number", &5_i64)).await);
    assert!(!conflict(&|b| b.expect_column::<Entry>(&(1,), "text", &None::<String>)).await);
    assert!(conflict(&|b| b.expect_absent::<Entry>(&(1,))).await);
    assert!(conflict(&|b| b.expect_present::<Entry>(&(2,))).await);
    assert!(conflict(&|b| b.expect_column::<Entry>(&(1,), "number", &6_i64)).await);
    assert!(conflict(&|b| b.expect_column::<Entry>(&(1,), "text", &Some(String::new()))).await);
    assert!(conflict(&|b| b.expect_column::<Entry>(&(2,), "text", &None::<String>)).await);
    // A row that the same batch puts is not there yet.
    let own = |b: &mut crate::Batch| {
        b.put(&Entry { id: 3, text: None, number: 0 });
        b.expect_present::<Entry>(&(3,));
    };
    assert!(conflict(&own).await);
    engine.close().await;
}

pub async fn a_missing_counter_is_a_conflict_and_undoes_the_batch(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let mut first = batch(engine);
    first.put(&Mark { id: 7 });
    engine.commit(first).await.unwrap();
    let before = dump(engine).await.unwrap();
    let position = *engine.positions().borrow();

    let mut refused = batch(engine);
    refused.next_pos();
    refused.put(&Mark { id: 1 });
    refused.delete::<Mark>(&(7,));
    refused.put(&Entry { id: 1, text: Some("x".to_owned()), number: 1 });
    refused.put(&Entry { id: 1, text: None, number: 2 });
    refused.add::<Tally>(&("none".to_owned(),), "count", 1);
    let error = engine.commit(refused).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict { keyspace: "conformance_tally" }), "{error:?}");
    assert_eq!(dump(engine).await.unwrap(), before);
    assert_eq!(*engine.positions().borrow(), position, "a refused batch takes no position");
    engine.close().await;
}

pub async fn counters_add_up_under_concurrency(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let mut first = batch(engine);
    first.put(&Tally { name: "n".to_owned(), count: 10 });
    // An addition sees what its own batch put.
    first.add::<Tally>(&("n".to_owned(),), "count", -10);
    engine.commit(first).await.unwrap();
    let adds = (1..=50).map(|n| {
        let mut batch = batch(engine);
        batch.add::<Tally>(&("n".to_owned(),), "count", n);
        engine.commit(batch)
    });
    assert!(join_all(adds).await.iter().all(Result::is_ok));
    let found = engine.snapshot().await.unwrap().get::<Tally>(&("n".to_owned(),)).await.unwrap().unwrap();
    assert_eq!(found.count, 50 * 51 / 2);
    let by_count = Scan::index::<Tally>(Tally::BY_COUNT, (50_i64 * 51 / 2,), 2);
    let rows: Vec<Tally> = engine.snapshot().await.unwrap().scan(by_count).await.unwrap();
    assert_eq!(rows, [found], "the index follows the counter");
    engine.close().await;
}

pub async fn a_counter_at_its_end_refuses_the_batch(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let mut first = batch(engine);
    first.put(&Tally { name: "n".to_owned(), count: i64::MAX });
    engine.commit(first).await.unwrap();
    let mut refused = batch(engine);
    refused.put(&Mark { id: 1 });
    refused.add::<Tally>(&("n".to_owned(),), "count", 1);
    let error = engine.commit(refused).await.unwrap_err();
    assert!(matches!(error, CommitError::Malformed(_)), "{error:?}");
    let snapshot = engine.snapshot().await.unwrap();
    assert_eq!(snapshot.get::<Mark>(&(1,)).await.unwrap(), None);
    drop(snapshot);
    engine.close().await;
}

pub async fn a_batch_under_an_old_epoch_is_fenced_off(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let mut stale = batch(engine);
    stale.fence.epoch = Epoch(stale.fence.epoch.0 - 1);
    stale.put(&Mark { id: 1 });
    let shard = stale.fence.shard;
    let error = engine.commit(stale).await.unwrap_err();
    assert!(matches!(error, CommitError::Fenced(fenced) if fenced == shard), "{error:?}");

    // Somebody takes the shard over: from then on the old holder is refused, in the same group too.
    let mut takeover = batch(engine);
    takeover.put(&ShardEpoch { shard: shard.number().into(), epoch: takeover.fence.epoch.0 + 1 });
    let mut late = batch(engine);
    late.put(&Mark { id: 2 });
    let (takeover, late) = join(engine.commit(takeover), engine.commit(late)).await;
    takeover.unwrap();
    assert!(matches!(late, Err(CommitError::Fenced(fenced)) if fenced == shard), "{late:?}");
    let marks: Vec<Mark> = engine.snapshot().await.unwrap().scan(Scan::prefix::<Mark>((), 9)).await.unwrap();
    assert_eq!(marks, []);
    engine.close().await;
}

pub async fn a_batch_over_the_limit_is_refused(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let of = |bytes: usize| {
        let mut batch = batch(engine);
        batch.put(&Note { body: vec![7; bytes].into(), ..note(1, Pos::new(1)) });
        batch
    };
    let overhead = of(0).size();
    let largest = of(MAX_BATCH_BYTES - overhead);
    assert_eq!(largest.size(), MAX_BATCH_BYTES);
    engine.commit(largest).await.unwrap();
    let error = engine.commit(of(MAX_BATCH_BYTES - overhead + 1)).await.unwrap_err();
    assert!(matches!(error, CommitError::TooLarge(size) if size == MAX_BATCH_BYTES + 1), "{error:?}");
    engine.close().await;
}

pub async fn a_batch_that_does_not_fit_its_declaration_is_refused(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let put = |row: Vec<Datum>| Op::Put { keyspace: Entry::DEF, row: row.into() };
    let wrong = [
        put(vec![Datum::Int(1), Datum::Null]),
        put(vec![Datum::Int(1), Datum::Null, Datum::Null]),
        put(vec![Datum::Int(1), Datum::Int(1), Datum::Int(1)]),
        put(vec![Datum::Pending(0), Datum::Null, Datum::Int(1)]),
        Op::Delete { keyspace: Entry::DEF, key: vec![] },
        Op::Delete { keyspace: Entry::DEF, key: vec![Datum::Text("1".into())] },
        Op::Add { keyspace: Entry::DEF, key: vec![Datum::Int(1)], column: 1, delta: 1 },
        Op::Add { keyspace: Entry::DEF, key: vec![Datum::Int(1)], column: 0, delta: 1 },
        Op::DeleteRange(Scan::prefix::<Entry>((1_i64, 2_i64), 1)),
    ];
    for op in wrong {
        let mut batch = batch(engine);
        batch.put(&Mark { id: 1 });
        batch.ops.push(op);
        let error = engine.commit(batch).await.unwrap_err();
        assert!(matches!(error, CommitError::Malformed(_)), "{error:?}");
    }
    assert_eq!(engine.snapshot().await.unwrap().get::<Mark>(&(1,)).await.unwrap(), None);
    engine.close().await;
}

pub async fn ops_apply_in_order(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let entry = |id, number| Entry { id, text: None, number };
    let mut batch = batch(engine);
    batch.put(&entry(1, 1));
    batch.put(&entry(1, 2));
    batch.put(&entry(2, 1));
    batch.delete::<Entry>(&(2,));
    batch.put(&entry(3, 1));
    batch.delete_range(Scan::prefix::<Entry>((), 0));
    batch.put(&entry(4, 1));
    batch.delete::<Entry>(&(5,));
    batch.put(&entry(5, 1));
    engine.commit(batch).await.unwrap();
    let rows: Vec<Entry> = engine.snapshot().await.unwrap().scan(Scan::prefix::<Entry>((), 9)).await.unwrap();
    assert_eq!(rows, [entry(4, 1), entry(5, 1)]);
    engine.close().await;
}

pub async fn a_range_delete_takes_what_the_scan_covers(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let fill = async || {
        let mut batch = batch(engine);
        for room in 1..=3 {
            for n in 1..=4 {
                let label = (n % 2 == 0).then(|| "even".to_owned());
                let body = Bytes::from_static(b"x");
                batch.put(&Note { room: RoomNid(room), pos: Pos::new(n), label, rank: Some(n), body });
            }
        }
        engine.commit(batch).await.unwrap();
    };
    let left = async |scan: Scan| {
        fill().await;
        let mut batch = batch(engine);
        batch.delete_range(scan);
        engine.commit(batch).await.unwrap();
        let rows: Vec<Note> =
            engine.snapshot().await.unwrap().scan(Scan::prefix::<Note>((), 99)).await.unwrap();
        rows.iter().map(|row| (row.room.0, row.pos.get())).collect::<Vec<_>>()
    };
    let in_room = |room| (1..=4).map(move |n| (room, n));
    let two = Scan::prefix::<Note>((RoomNid(2),), usize::MAX);
    assert_eq!(left(two.clone()).await, in_room(1).chain(in_room(3)).collect::<Vec<_>>());
    // Direction and limit don't count.
    assert_eq!(left(Scan { limit: 1, ..two.clone().backward() }).await.len(), 8);
    let part = two.after((Pos::new(1),)).up_to((Pos::new(3),));
    assert_eq!(left(part).await.iter().filter(|(room, _)| *room == 2).count(), 2);
    let across =
        Scan::prefix::<Note>((), 1).from((RoomNid(1), Pos::new(4))).before((RoomNid(3), Pos::new(2)));
    assert_eq!(left(across).await, [(1, 1), (1, 2), (1, 3), (3, 2), (3, 3), (3, 4)]);
    let by_index = Scan::index::<Note>(Note::BY_LABEL, (Some("even".to_owned()),), 1).from((Some(4_i64),));
    assert_eq!(left(by_index).await.len(), 9);
    let nulls = Scan::index::<Note>(Note::BY_LABEL, (None::<String>,), 1);
    assert!(left(nulls).await.iter().all(|(_, n)| n % 2 == 0));
    assert_eq!(left(Scan::prefix::<Note>((), 1)).await, []);
    engine.close().await;
}
