use bytes::Bytes;
use myelin_model::{RoomNid, Topic};
use myelin_store::Engine;
use myelin_store::schema::users::AccountData;
use serde_json::Value;

use super::{AccountDataError, MAX_ACCOUNT_DATA};
use crate::testing::{House, requester};

fn json(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[tokio::test]
async fn what_was_set_comes_back_byte_for_byte_each_in_its_place() {
    let house = House::new();
    let alice = house.account("alice").await;
    let (room, room_id) = house.room(&[&alice]).await;
    let mut notices = house.world.engine.notices();
    let users = &house.users;
    let global = json(r#"{ "b":1.50, "a":"\u0041" }"#);
    users.set_account_data(&alice, &alice.user_id, None, "org.x", global.clone()).await.unwrap();
    let of_room = json(r#"{"c":{}}"#);
    users.set_account_data(&alice, &alice.user_id, Some(&room_id), "org.x", of_room.clone()).await.unwrap();
    let read = |room| users.account_data(&alice, &alice.user_id, room, "org.x");
    assert_eq!(read(None).await.unwrap(), Some(global));
    assert_eq!(read(Some(&*room_id)).await.unwrap(), Some(of_room));
    let other = users.account_data(&alice, &alice.user_id, None, "org.y").await.unwrap();
    assert_eq!(other, None);
    assert_eq!(notices.recv().await.unwrap().topics, [Topic::user("@alice:test")]);
    let rows = house.all::<AccountData>().await;
    assert!(rows[0].changed < rows[1].changed);
    assert_eq!((rows[0].room, rows[1].room), (RoomNid(0), room));
}

#[tokio::test]
async fn what_was_deleted_is_gone_but_for_the_row_that_tells_clients() {
    let house = House::new();
    let alice = house.account("alice").await;
    let (_, room_id) = house.room(&[&alice]).await;
    let users = &house.users;
    for room in [None, Some(&*room_id)] {
        for empty in [None, Some(json("{ \n}"))] {
            let set = |content| users.set_account_data(&alice, &alice.user_id, room, "org.x", content);
            set(json(r#"{"a":1}"#)).await.unwrap();
            match empty {
                None => users.delete_account_data(&alice, &alice.user_id, room, "org.x").await.unwrap(),
                Some(empty) => set(empty).await.unwrap(),
            }
            assert_eq!(users.account_data(&alice, &alice.user_id, room, "org.x").await.unwrap(), None);
        }
    }
    let rows = house.all::<AccountData>().await;
    assert!(rows.len() == 2 && rows.iter().all(|row| &*row.content == b"{}"));
}

#[tokio::test]
async fn what_the_server_keeps_can_be_read_but_not_set() {
    let house = House::new();
    let alice = house.account("alice").await;
    let (_, room_id) = house.room(&[&alice]).await;
    for kind in ["m.fully_read", "m.push_rules"] {
        for room in [None, Some(&*room_id)] {
            let set = house.users.set_account_data(&alice, &alice.user_id, room, kind, json("{}")).await;
            assert!(matches!(set, Err(AccountDataError::Managed(_))), "{kind}");
        }
    }
    let rules =
        house.users.account_data(&alice, &alice.user_id, None, "m.push_rules").await.unwrap().unwrap();
    let rules: Value = serde_json::from_slice(&rules).unwrap();
    assert_eq!(rules["global"]["override"][0]["rule_id"], ".m.rule.master");
}

#[tokio::test]
async fn only_objects_of_bounded_size_and_name_are_taken() {
    let house = House::new();
    let alice = house.account("alice").await;
    let set = |kind: &str, content: Bytes| {
        let (house, alice, kind) = (&house, &alice, kind.to_owned());
        async move { house.users.set_account_data(alice, &alice.user_id, None, &kind, content).await }
    };
    for bad in ["[]", "3", "null", "\"x\"", "", "{", "{\"a\":}"] {
        assert!(matches!(set("org.x", json(bad)).await, Err(AccountDataError::NotAnObject)), "{bad}");
    }
    let large = json(&format!(r#"{{"a":"{}"}}"#, "a".repeat(MAX_ACCOUNT_DATA)));
    assert!(matches!(set("org.x", large).await, Err(AccountDataError::TooLarge)));
    for kind in [String::new(), "a".repeat(256)] {
        assert!(matches!(set(&kind, json("{}")).await, Err(AccountDataError::BadName)));
    }
    assert!(set(&"a".repeat(255), json("{}")).await.is_ok());
}

#[tokio::test]
async fn nobody_reaches_the_account_data_of_others_or_of_rooms_unknown_to_them() {
    let house = House::new();
    let (alice, bob) = (house.account("alice").await, house.account("bob").await);
    let (_, room_id) = house.room(&[&bob]).await;
    let users = &house.users;
    let read = users.account_data(&alice, &bob.user_id, None, "org.x").await;
    assert!(matches!(read, Err(AccountDataError::NotYours)));
    let set = users.set_account_data(&alice, &bob.user_id, None, "org.x", json("{}")).await;
    assert!(matches!(set, Err(AccountDataError::NotYours)));
    for room_id in [&*room_id, "!none:test".try_into().unwrap()] {
        let set = users.set_account_data(&alice, &alice.user_id, Some(room_id), "org.x", json("{}")).await;
        assert!(matches!(set, Err(AccountDataError::NotInRoom)));
        let read = users.account_data(&alice, &alice.user_id, Some(room_id), "org.x").await;
        assert_eq!(read.unwrap(), None);
    }
    assert!(users.account_data(&requester("carol"), &alice.user_id, None, "org.x").await.is_err());
}
