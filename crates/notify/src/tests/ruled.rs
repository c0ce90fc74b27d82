//! Users with push rules of their own.

use bytes::Bytes;
use myelin_model::{EventNid, RoomNid};
use myelin_pdu::{Pdu, RoomVersionId};
use myelin_store::schema::notify::{Notification, PushMember, PushUser, QuietSpan};
use myelin_store::{Engine, Reader, Scan};
use serde_json::json;

use super::{ROOM, Sending, World, asks, room, text, user};
use crate::{NewEvent, RuleProblem};

#[tokio::test]
async fn the_rules_of_a_user_are_read_by_kind_and_id() {
    let world = World::new();
    let rules = world.notify.push_rules(&asks(1)).await.unwrap();
    assert_eq!(rules.global()["override"].as_array().unwrap().len(), 11);
    let rule = rules.rule("override", ".m.rule.is_user_mention").unwrap().unwrap();
    assert_eq!(rule["conditions"][0]["value"], user(1).as_str());
    assert_eq!(rules.rule("underride", ".m.rule.is_user_mention"), Ok(None));
    assert_eq!(rules.rule("nonsense", ".m.rule.master"), Err(RuleProblem::UnknownKind));
}

#[tokio::test]
async fn a_muted_room_writes_no_row_for_an_ordinary_message() {
    let mut world = room(3).await;
    world.mute(1, true).await;
    world.send(&text(0)).await;
    world.send(&text(0)).await;
    assert!(world.rows::<Notification>(1).await.is_empty());
    assert_eq!(world.total(1).await, (0, 0));
    assert_eq!(world.total(2).await, (2, 0));
}

#[tokio::test]
async fn rules_whose_spreading_was_cut_off_reach_the_rooms_at_the_next_start() {
    let mut world = room(2).await;
    world.mute(1, true).await;
    let user_id = user(1);
    let mut batch = world.batch();
    let snapshot = world.snapshot().await;
    let push_user = snapshot.get::<PushUser>(&(user_id.clone(),)).await.unwrap().unwrap();
    batch.put(&PushUser { spreading: true, ..push_user });
    batch.delete::<PushMember>(&(ROOM, user_id.clone()));
    batch.delete_range(Scan::prefix::<QuietSpan>((user_id.clone(),), usize::MAX));
    world.engine.commit(batch).await.unwrap();
    // The next process knows nothing but the store.
    world.notify = World::service(&world.engine);
    world.notify.take_up().await.unwrap();
    world.send(&text(0)).await;
    assert_eq!(world.total(1).await, (0, 0));
    let push_user = world.snapshot().await.get::<PushUser>(&(user_id,)).await.unwrap().unwrap();
    assert!(!push_user.spreading);
}

#[tokio::test]
async fn a_join_planned_before_the_users_first_rules_is_a_conflict() {
    let mut world = room(1).await;
    let joiner = user(1);
    let json = json!({
        "type": "m.room.member", "content": { "membership": "join" }, "sender": joiner, "state_key": joiner,
        "room_id": "!room:here.test", "depth": 9, "origin_server_ts": 9, "prev_events": [], "auth_events": [],
        "hashes": {}, "signatures": {},
    });
    let pdu = Pdu::parse(Bytes::from(json.to_string()), RoomVersionId::V11.rules()).unwrap();
    let mut batch = world.batch();
    let pos = batch.next_pos();
    let new = NewEvent {
        room: ROOM,
        event: EventNid(99),
        pdu: &pdu,
        order: 999,
        pos,
        counter: 0,
        thread_order: None,
        joined: 2,
        may_notify_room: false,
    };
    world.notify.observe(&*world.snapshot().await, &new, &mut batch).await.unwrap();
    world.mute(1, true).await;
    assert!(world.engine.commit(batch).await.is_err());
}

#[tokio::test]
async fn a_new_process_knows_which_rooms_have_members_with_rules() {
    let mut world = room(2).await;
    world.mute(1, true).await;
    world.notify = World::service(&world.engine);
    assert!(world.notify.ruled_rooms.may_have(ROOM), "until it has looked, any room may");
    world.notify.take_up().await.unwrap();
    assert!(world.notify.ruled_rooms.may_have(ROOM));
    assert!(!world.notify.ruled_rooms.may_have(RoomNid(2)));
    world.send(&text(0)).await;
    world.send(&Sending { mentions: vec![1], ..text(0) }).await;
    assert_eq!(world.total(1).await, (1, 1));
}
