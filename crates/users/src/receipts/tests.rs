use std::sync::Arc;

use futures_util::future::join_all;
use myelin_model::{Requester, Topic};
use myelin_store::Engine;
use myelin_store::schema::rooms::{Event, Membership};
use myelin_store::schema::users::{AccountData, Receipt};
use myelin_timeline::testing::Draft;
use ruma::{OwnedRoomId, RoomId};
use serde_json::json;

use super::{Marks, ReceiptError, Thread};
use crate::testing::House;

fn read(event: &Event, thread: Thread) -> Marks {
    Marks { read: Some(event.event_id.clone()), thread, ..Marks::default() }
}

struct Room {
    house: House,
    alice: Requester,
    bob: Requester,
    id: OwnedRoomId,
    events: Vec<Event>,
}

/// A room where Alice has said three things.
async fn room() -> Room {
    let house = House::new();
    let (alice, bob) = (house.account("alice").await, house.account("bob").await);
    let (room, id) = house.room(&[&alice, &bob]).await;
    let mut events = Vec::new();
    for text in ["one", "two", "three"] {
        events.push(house.world.say(room, &alice.user_id, text).await);
    }
    Room { house, alice, bob, id, events }
}

impl Room {
    async fn mark(&self, marks: &Marks) -> Result<(), ReceiptError> {
        self.house.users.mark_read(&self.bob, &self.id, marks).await
    }

    /// The receipts: kind, thread, event.
    async fn receipts(&self) -> Vec<(String, String, String)> {
        let rows = self.house.all::<Receipt>().await;
        rows.into_iter().map(|row| (row.kind, row.thread, row.event_id.to_string())).collect()
    }

    async fn reply(&self, relation: &str, to: &Event) -> Event {
        let content = json!({ "m.relates_to": { "rel_type": relation, "event_id": to.event_id } });
        let draft = Draft::message(to.room, &self.alice.user_id, "m.room.message", content);
        self.house.world.send(draft).await
    }
}

#[tokio::test]
async fn a_receipt_only_moves_forward() {
    let room = room().await;
    room.mark(&read(&room.events[1], Thread::Unthreaded)).await.unwrap();
    let before = room.house.all::<Receipt>().await;
    for event in &room.events[..2] {
        room.mark(&read(event, Thread::Unthreaded)).await.unwrap();
    }
    assert_eq!(room.house.all::<Receipt>().await, before);
    room.mark(&read(&room.events[2], Thread::Unthreaded)).await.unwrap();
    let after = room.house.all::<Receipt>().await;
    assert_eq!(after[0].event_id, room.events[2].event_id);
    assert!(after[0].changed > before[0].changed);
}

#[tokio::test]
async fn receipts_that_arrive_at_the_same_time_end_at_the_furthest() {
    let room = room().await;
    let mut events = room.events.clone();
    for n in 0..10 {
        events.push(room.house.world.say(events[0].room, &room.alice.user_id, &n.to_string()).await);
    }
    room.mark(&read(&events[0], Thread::Unthreaded)).await.unwrap();
    // The furthest comes first: those behind it must not write over it.
    let marks: Vec<Marks> = events.iter().rev().map(|event| read(event, Thread::Unthreaded)).collect();
    let other = House::over(Arc::clone(&room.house.world));
    let mark = |(n, marks)| {
        let users = if n % 2 == 0 { &room.house.users } else { &other.users };
        users.mark_read(&room.bob, &room.id, marks)
    };
    for marked in join_all(marks.iter().enumerate().map(mark)).await {
        marked.unwrap();
    }
    let last = events.last().unwrap().event_id.to_string();
    assert_eq!(room.receipts().await, [("m.read".to_owned(), String::new(), last)]);
}

#[tokio::test]
async fn each_kind_and_thread_has_a_receipt_of_its_own() {
    let room = room().await;
    let root = &room.events[0];
    let reply = room.reply("m.thread", root).await;
    let thread = Thread::Root(root.event_id.clone());
    room.mark(&read(&room.events[2], Thread::Unthreaded)).await.unwrap();
    room.mark(&read(&room.events[1], Thread::Main)).await.unwrap();
    room.mark(&read(&reply, thread.clone())).await.unwrap();
    room.mark(&Marks { read_private: Some(root.event_id.clone()), thread, ..Marks::default() })
        .await
        .unwrap();
    let id = |event: &Event| event.event_id.to_string();
    let mut expected = vec![
        ("m.read".to_owned(), String::new(), id(&room.events[2])),
        ("m.read".to_owned(), "main".to_owned(), id(&room.events[1])),
        ("m.read".to_owned(), id(root), id(&reply)),
        ("m.read.private".to_owned(), id(root), id(root)),
    ];
    expected.sort();
    let mut found = room.receipts().await;
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn an_event_of_another_thread_is_refused() {
    let room = room().await;
    let (root, other) = (&room.events[0], &room.events[1]);
    let reply = room.reply("m.thread", root).await;
    let reaction = room.reply("m.annotation", &reply).await;
    let of = |event: &Event| Thread::Root(event.event_id.clone());
    for (event, thread) in
        [(&reply, Thread::Main), (&reaction, Thread::Main), (&reply, of(other)), (&room.events[2], of(root))]
    {
        let marked = room.mark(&read(event, thread)).await;
        assert!(matches!(marked, Err(ReceiptError::OtherThread(_))));
    }
    assert!(room.receipts().await.is_empty());
    for event in [&reply, &reaction, root] {
        room.mark(&read(event, of(root))).await.unwrap();
    }
    let redaction = room.house.world.redact(&room.alice.user_id, &reply).await;
    room.mark(&read(&redaction, Thread::Main)).await.unwrap();
}

#[tokio::test]
async fn only_a_public_receipt_wakes_the_room() {
    let room = room().await;
    let mut notices = room.house.world.engine.notices();
    let private = Some(room.events[0].event_id.clone());
    room.mark(&Marks { read_private: private, ..Marks::default() }).await.unwrap();
    assert_eq!(notices.recv().await.unwrap().topics, [Topic::user("@bob:test")]);
    room.mark(&read(&room.events[0], Thread::Unthreaded)).await.unwrap();
    let topics = notices.recv().await.unwrap().topics.clone();
    assert!(topics.contains(&Topic::Room(room.events[0].room)));
}

#[tokio::test]
async fn markers_move_together_and_whoever_counts_hears_of_the_furthest() {
    let room = room().await;
    let id = |n: usize| Some(room.events[n].event_id.clone());
    let marks = Marks { read: id(0), read_private: id(2), fully_read: id(1), thread: Thread::Unthreaded };
    room.mark(&marks).await.unwrap();
    assert_eq!(room.receipts().await.len(), 2);
    let last = &room.events[2];
    let told = room.house.listener.take();
    assert_eq!(told, [(room.bob.user_id.clone(), last.order.unwrap(), last.counter, Thread::Unthreaded)]);
    let marker = room.house.all::<AccountData>().await;
    assert_eq!(marker[0].kind, "m.fully_read");
    assert_eq!(marker[0].content, json!({ "event_id": room.events[1].event_id }).to_string());
    room.mark(&Marks { fully_read: id(0), ..Marks::default() }).await.unwrap();
    assert_eq!(room.house.all::<AccountData>().await, marker, "the marker does not go back");
    assert_eq!(room.house.listener.take(), [], "the marker reads nothing");
    room.mark(&Marks { fully_read: id(2), ..Marks::default() }).await.unwrap();
    assert_ne!(room.house.all::<AccountData>().await, marker);
}

#[tokio::test]
async fn only_members_mark_only_events_of_their_room() {
    let room = room().await;
    let (house, alice) = (&room.house, &room.alice);
    let carol = house.account("carol").await;
    let one = read(&room.events[0], Thread::Unthreaded);
    let marked = house.users.mark_read(&carol, &room.id, &one).await;
    assert!(matches!(marked, Err(ReceiptError::NotInRoom)));
    let none: &RoomId = "!none:test".try_into().unwrap();
    assert!(matches!(house.users.mark_read(alice, none, &one).await, Err(ReceiptError::NotInRoom)));
    let (other, other_id) = house.room(&[alice]).await;
    assert!(matches!(house.users.mark_read(alice, &other_id, &one).await, Err(ReceiptError::NoSuchEvent(_))));
    let elsewhere = house.world.say(other, &alice.user_id, "x").await;
    let marked = room.mark(&read(&elsewhere, Thread::Unthreaded)).await;
    assert!(matches!(marked, Err(ReceiptError::NoSuchEvent(_))));
    let threaded = Marks { fully_read: one.read.clone(), thread: Thread::Main, ..Marks::default() };
    assert!(matches!(room.mark(&threaded).await, Err(ReceiptError::NoThread)));
    house.world.member(room.events[0].room, &alice.user_id, &room.bob.user_id, Membership::Leave).await;
    assert!(matches!(room.mark(&one).await, Err(ReceiptError::NotInRoom)));
    assert!(room.receipts().await.is_empty());
}
