use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::AccountDataError;
use crate::testing::House;

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

#[tokio::test]
async fn tags_come_and_go_and_are_account_data_of_the_room() {
    let house = House::new();
    let alice = house.account("alice").await;
    let (_, room) = house.room(&[&alice]).await;
    let (users, me) = (&house.users, &alice.user_id);
    assert!(users.tags(&alice, me, &room).await.unwrap().is_empty());
    users.set_tag(&alice, me, &room, "m.favourite", &raw(r#"{"order":0.50}"#)).await.unwrap();
    users.set_tag(&alice, me, &room, "u.Work", &raw("{}")).await.unwrap();
    let content = users.account_data(&alice, me, Some(&room), "m.tag").await.unwrap().unwrap();
    assert_eq!(content, r#"{"tags":{"m.favourite":{"order":0.50},"u.Work":{}}}"#);
    users.delete_tag(&alice, me, &room, "m.favourite").await.unwrap();
    users.delete_tag(&alice, me, &room, "never there").await.unwrap();
    let tags = users.tags(&alice, me, &room).await.unwrap();
    assert_eq!(tags.keys().collect::<Vec<_>>(), ["u.Work"]);
}

#[tokio::test]
async fn tags_that_are_set_at_the_same_time_are_all_kept() {
    let house = Arc::new(House::new());
    let alice = house.account("alice").await;
    let (_, room) = house.room(&[&alice]).await;
    let info = to_raw_value(&json!({})).unwrap();
    // Two services over one store stand for two processes, whose turns don't bind each other.
    let other = House::over(Arc::clone(&house.world));
    let sets = (0..24).map(|n| {
        let users = if n % 2 == 0 { &house.users } else { &other.users };
        let (alice, room, info, tag) = (&alice, &room, &info, format!("u.{n}"));
        async move { users.set_tag(alice, &alice.user_id, room, &tag, info).await }
    });
    for set in join_all(sets).await {
        set.unwrap();
    }
    assert_eq!(house.users.tags(&alice, &alice.user_id, &room).await.unwrap().len(), 24);
}

#[tokio::test]
async fn what_a_client_wrote_beside_the_tags_stays_and_nonsense_counts_as_none() {
    let house = House::new();
    let alice = house.account("alice").await;
    let (_, room) = house.room(&[&alice]).await;
    let (users, me) = (&house.users, &alice.user_id);
    let odd = Bytes::from_static(br#"{"x":[1],"tags":7}"#);
    users.set_account_data(&alice, me, Some(&room), "m.tag", odd).await.unwrap();
    assert!(users.tags(&alice, me, &room).await.unwrap().is_empty());
    users.set_tag(&alice, me, &room, "u.a", &raw("{}")).await.unwrap();
    let content = users.account_data(&alice, me, Some(&room), "m.tag").await.unwrap().unwrap();
    assert_eq!(content, r#"{"tags":{"u.a":{}},"x":[1]}"#);
}

#[tokio::test]
async fn bad_tags_and_the_tags_of_others_are_refused() {
    let house = House::new();
    let (alice, bob) = (house.account("alice").await, house.account("bob").await);
    let (_, room) = house.room(&[&alice]).await;
    let (users, me) = (&house.users, &alice.user_id);
    let long = "a".repeat(256);
    let set = users.set_tag(&alice, me, &room, &long, &raw("{}")).await;
    assert!(matches!(set, Err(AccountDataError::BadName)));
    let set = users.set_tag(&alice, me, &room, "u.a", &raw("[]")).await;
    assert!(matches!(set, Err(AccountDataError::NotAnObject)));
    let set = users.set_tag(&bob, me, &room, "u.a", &raw("{}")).await;
    assert!(matches!(set, Err(AccountDataError::NotYours)));
    let set = users.set_tag(&bob, &bob.user_id, &room, "u.a", &raw("{}")).await;
    assert!(matches!(set, Err(AccountDataError::NotInRoom)));
    assert!(users.tags(&bob, me, &room).await.is_err());
    assert!(users.delete_tag(&bob, me, &room, "u.a").await.is_err());
}
