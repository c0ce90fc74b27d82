//! Positions and notices.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use myelin_model::{Pos, RoomNid, Topic};

use super::super::{Factory, Mark, Note, Piece, batch, note};
use crate::{Committed, Datum, Engine, Expect, Expectation, Keyspace, Reader, Scan};

/// Commits from several threads while one reader looks: what it sees of the log has no hole, ever.
pub async fn positions_have_no_holes_and_follow_commit_order(factory: &dyn Factory) {
    const WRITERS: i64 = 4;
    const EACH: usize = 60;
    let engine = factory.fresh();
    let writer = |room: i64, engine: Arc<dyn Engine>| {
        move || {
            let mut last = Pos::ZERO;
            super::super::run(async || {
                for n in 0..EACH {
                    let mut batch = batch(&*engine);
                    for _ in 0..=n % 3 {
                        let pos = batch.next_pos();
                        batch.put(&note(room, pos));
                    }
                    let committed = engine.commit(batch).await.unwrap();
                    assert!(committed.first > last, "the positions of one writer rise");
                    last = committed.first;
                }
            });
        }
    };
    let writers: Vec<_> = (0..WRITERS).map(|n| std::thread::spawn(writer(n, Arc::clone(&engine)))).collect();
    let total = WRITERS * (EACH as i64) * 2;
    let mut positions = engine.positions();
    loop {
        let seen = *positions.borrow_and_update();
        let snapshot = engine.snapshot().await.unwrap();
        assert!(snapshot.position() >= seen, "what was announced is visible");
        let scan = Scan::index::<Note>(Note::BY_POS, (), usize::MAX);
        let notes: Vec<Note> = snapshot.scan(scan).await.unwrap();
        let found: Vec<i64> = notes.iter().map(|note| note.pos.get()).collect();
        assert_eq!(found, (1..=snapshot.position().get()).collect::<Vec<_>>());
        if snapshot.position().get() == total {
            break;
        }
        drop(snapshot);
        positions.changed().await.unwrap();
    }
    for writer in writers {
        writer.join().unwrap();
    }
    engine.close().await;
}

pub async fn a_place_in_the_order_is_taken_when_commit_is_called(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let take = || {
        let mut batch = batch(engine);
        batch.next_pos();
        engine.commit(batch)
    };
    let (first, second, third) = (take(), take(), take());
    assert_eq!(third.await.unwrap().first, Pos::new(3));
    assert_eq!(first.await.unwrap().first, Pos::new(1));
    assert_eq!(second.await.unwrap().first, Pos::new(2));
    // And a batch whose future nobody polls is committed all the same.
    drop(take());
    assert_eq!(take().await.unwrap().first, Pos::new(5));
    engine.close().await;
}

pub async fn placeholders_are_resolved_wherever_they_stand(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let mut first = batch(engine);
    first.next_pos();
    engine.commit(first).await.unwrap();

    let mut second = batch(engine);
    let (a, b) = (second.next_pos(), second.next_pos());
    second.insert(&note(1, b));
    second.put(&note(1, a));
    second.put(&note(2, a));
    second.delete::<Note>(&(RoomNid(2), a));
    second.put(&note(3, b));
    second.delete_range(Scan::prefix::<Note>((RoomNid(3),), 1).from((b,)));
    second.put(&Piece {
        hash: "h".into(),
        name: "n".to_owned(),
        part: 1,
        data: "d".into(),
        changed: b,
        note: None,
    });
    let committed = engine.commit(second).await.unwrap();
    assert_eq!(committed.first, Pos::new(2));
    let snapshot = engine.snapshot().await.unwrap();
    assert_eq!(snapshot.position(), Pos::new(3));
    let notes: Vec<Note> = snapshot.scan(Scan::prefix::<Note>((), 9)).await.unwrap();
    assert_eq!(notes, [note(1, Pos::new(2)), note(1, Pos::new(3))]);
    let key = (bytes::Bytes::from("h"), "n".to_owned(), 1);
    assert_eq!(snapshot.get::<Piece>(&key).await.unwrap().unwrap().changed, Pos::new(3));
    drop(snapshot);

    // In an expectation, a placeholder is the position that the batch is about to get.
    let mut third = batch(engine);
    let pos = third.next_pos();
    let key = vec![Datum::Int(1), Datum::Pending(0)];
    third.expects.push(Expect { keyspace: Note::DEF, key, expectation: Expectation::Absent });
    third.put(&note(1, pos));
    engine.commit(third).await.unwrap();
    engine.close().await;
}

pub async fn a_batch_without_positions_reports_the_newest(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let commit = async |take: bool| {
        let mut batch = batch(engine);
        batch.put(&Mark { id: 1 });
        if take {
            batch.next_pos();
        }
        engine.commit(batch).await.unwrap().first
    };
    assert_eq!(commit(false).await, Pos::ZERO);
    assert_eq!(commit(true).await, Pos::new(1));
    assert_eq!(commit(false).await, Pos::new(1));
    assert_eq!(commit(true).await, Pos::new(2));
    engine.close().await;
}

pub async fn notices_come_in_order_with_their_topics(factory: &dyn Factory) {
    let engine = &*factory.fresh();
    let mut notices = engine.notices();
    let mut positions = engine.positions();
    let commits = (0..20_u32).map(|n| {
        let mut batch = batch(engine);
        (0..n % 3).for_each(|_| {
            batch.next_pos();
        });
        batch.wake(Topic::Room(RoomNid(n.into())));
        batch.wake(Topic::Room(RoomNid(n.into())));
        batch.wake(Topic::user("@a:b"));
        if n == 7 {
            batch.expect_present::<Mark>(&(1,));
        }
        engine.commit(batch)
    });
    let known = engine.positions();
    let commits = commits.map(|commit| async {
        let committed = commit.await;
        if let Ok(Committed { first }) = &committed {
            assert!(*known.borrow() >= *first, "the newest position is known before a commit is answered");
        }
        committed
    });
    let results = join_all(commits).await;
    let mut rooms = Vec::new();
    let mut last = Pos::ZERO;
    while rooms.len() < 19 {
        let notice = notices.recv().await.unwrap();
        assert!(notice.position >= last);
        last = notice.position;
        let [Topic::Room(room), Topic::User(user)] = notice.topics.as_slice() else { panic!("{notice:?}") };
        assert_eq!(&**user, "@a:b");
        if let Ok(committed) = &results[room.0 as usize] {
            let taken = i64::from(room.0 as u32 % 3);
            assert_eq!(notice.position.get(), committed.first.get() + (taken - 1).max(0));
        }
        rooms.push(room.0);
    }
    assert_eq!(rooms, (0..20).filter(|n| *n != 7).collect::<Vec<_>>(), "the refused batch announces nothing");
    assert_eq!(rooms.iter().collect::<HashSet<_>>().len(), 19);
    assert_eq!(*positions.borrow_and_update(), last);
    engine.close().await;
}
