use bytes::Bytes;
use myelin_store::schema::users::Filter;

use super::{FilterError, MAX_BYTES, MAX_FILTER, MAX_FILTERS};
use crate::testing::House;

fn filter(n: i64) -> Bytes {
    Bytes::from(format!(r#"{{ "room": {{ "timeline": {{ "limit": {n} }} }} }}"#))
}

#[tokio::test]
async fn a_filter_comes_back_as_it_was_saved_and_the_same_has_the_same_id() {
    let house = House::new();
    let (alice, bob) = (house.account("alice").await, house.account("bob").await);
    let (users, me) = (&house.users, &alice.user_id);
    let id = users.save_filter(&alice, me, filter(1)).await.unwrap();
    assert_eq!(users.save_filter(&alice, me, filter(1)).await.unwrap(), id);
    assert_ne!(users.save_filter(&alice, me, filter(2)).await.unwrap(), id);
    assert!(!id.starts_with('{'));
    assert_eq!(users.filter(&alice, me, &id).await.unwrap(), Some(filter(1)));
    assert_eq!(users.filter(&alice, me, "0").await.unwrap(), None);
    assert_eq!(users.filter(&bob, &bob.user_id, &id).await.unwrap(), None);
    assert!(matches!(users.filter(&bob, me, &id).await, Err(FilterError::NotYours)));
    assert!(matches!(users.save_filter(&bob, me, filter(3)).await, Err(FilterError::NotYours)));
    assert_eq!(house.all::<Filter>().await.len(), 2);
}

#[tokio::test]
async fn filters_are_bounded_in_form_size_and_number() {
    let house = House::new();
    let alice = house.account("alice").await;
    let save = |json: Bytes| house.users.save_filter(&alice, &alice.user_id, json);
    for bad in ["", "[]", "\"x\"", "{"] {
        let saved = save(Bytes::from_static(bad.as_bytes())).await;
        assert!(matches!(saved, Err(FilterError::NotAnObject)), "{bad}");
    }
    let sized = |n: usize, size: usize| Bytes::from(format!(r#"{{"{n:04}":"{}"}}"#, "a".repeat(size - 11)));
    assert!(matches!(save(sized(0, MAX_FILTER + 1)).await, Err(FilterError::TooLarge)));
    let most = usize::try_from(MAX_BYTES).unwrap() / MAX_FILTER;
    for n in 0..most {
        save(sized(n, MAX_FILTER)).await.unwrap();
    }
    assert!(matches!(save(filter(0)).await, Err(FilterError::TooMany)));
    save(sized(0, MAX_FILTER)).await.unwrap();
    let bob = house.account("bob").await;
    for n in 0..MAX_FILTERS {
        house.users.save_filter(&bob, &bob.user_id, filter(n)).await.unwrap();
    }
    let saved = house.users.save_filter(&bob, &bob.user_id, filter(-1)).await;
    assert!(matches!(saved, Err(FilterError::TooMany)));
}
