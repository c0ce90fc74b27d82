use myelin_store::schema::users::Replacement;
use ruma::room_id;
use serde_json::json;
use serde_json::value::to_raw_value;

use super::{object, raw, with_direct};
use crate::testing::House;

#[test]
fn the_new_room_stands_beside_the_old_one_in_every_list_that_has_it_once() {
    let content =
        json!({ "@a:hs": ["!old", "!x"], "@b:hs": ["!x"], "@c:hs": "odd", "@d:hs": ["!new", "!old"] });
    let content = object(content.to_string().as_bytes());
    let (old, new) = (room_id!("!old"), room_id!("!new"));
    let after = with_direct(&content, old, new).unwrap();
    let after_json: serde_json::Value = serde_json::from_str(raw(&after).get()).unwrap();
    let expected = json!({ "@a:hs": ["!old", "!x", "!new"], "@b:hs": ["!x"], "@c:hs": "odd", "@d:hs": ["!new", "!old"] });
    assert_eq!(after_json, expected);
    assert!(with_direct(&after, old, new).is_none());
}

#[tokio::test]
async fn what_a_crash_left_uncopied_is_copied_later_and_once() {
    let house = House::new();
    let (alice, bob) = (house.account("alice").await, house.account("bob").await);
    let (old, old_id) = house.room(&[&bob, &alice]).await;
    let (new, new_id) = house.room(&[&alice]).await;
    let me = &alice.user_id;
    let info = to_raw_value(&json!({})).unwrap();
    house.users.set_tag(&alice, me, &old_id, "m.favourite", &info).await.unwrap();
    house.users.set_tag(&alice, me, &new_id, "u.own", &info).await.unwrap();
    // The join was committed, and nothing more.
    let mut batch = house.world.batch();
    batch.put(&Replacement { user_id: me.clone(), room: new, old });
    house.world.commit(batch).await;

    let later = House::over(std::sync::Arc::clone(&house.world));
    for _ in 0..2 {
        later.users.follow_replacements(me).await;
        let tags = later.users.tags(&alice, me, &new_id).await.unwrap();
        assert_eq!(tags.keys().collect::<Vec<_>>(), ["m.favourite", "u.own"]);
        assert!(later.all::<Replacement>().await.is_empty());
    }
}
