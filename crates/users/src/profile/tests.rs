use futures_util::future::join_all;
use myelin_store::schema::auth::Account;
use myelin_store::schema::users::{Profile, ProfileSpread};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::{MAX_PROFILE, ProfileError};
use crate::ProfileKey;
use crate::testing::{House, requester};

fn key(name: &str) -> ProfileKey {
    ProfileKey::parse(name).unwrap()
}

fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}

async fn profile(house: &House, name: &str) -> Value {
    let json = house.users.profile(&requester(name).user_id).await.unwrap();
    serde_json::from_slice(&json).unwrap()
}

#[tokio::test]
async fn fields_are_set_read_and_removed() {
    let house = House::new();
    let alice = house.account("alice").await;
    let (users, me) = (&house.users, &alice.user_id);
    assert_eq!(profile(&house, "alice").await, json!({}));
    let whole = json!({
        "displayname": "Alice \u{1f642}", "avatar_url": "mxc://test/a", "m.tz": "Europe/Berlin",
        "org.example.list": [1, { "a": null }], "org.example.null": null,
    });
    for (name, value) in whole.as_object().unwrap() {
        users.set_profile_field(&alice, me, &key(name), &raw(value)).await.unwrap();
    }
    assert_eq!(profile(&house, "alice").await, whole);
    let field = users.profile_field(me, &key("org.example.list")).await.unwrap().unwrap();
    assert_eq!(field.get(), r#"[1,{"a":null}]"#);
    for name in whole.as_object().unwrap().keys() {
        users.delete_profile_field(&alice, me, &key(name)).await.unwrap();
        assert!(users.profile_field(me, &key(name)).await.unwrap().is_none());
        users.delete_profile_field(&alice, me, &key(name)).await.unwrap();
    }
    assert_eq!(profile(&house, "alice").await, json!({}));
}

#[tokio::test]
async fn values_that_rooms_or_clients_could_not_show_are_refused() {
    let house = House::new();
    let alice = house.account("alice").await;
    let (users, me) = (&house.users, &alice.user_id);
    for (name, bad) in [
        ("displayname", json!(3)),
        ("displayname", json!("a".repeat(1_025))),
        ("avatar_url", json!({})),
        ("m.tz", json!(null)),
        ("m.tz", json!(["UTC"])),
    ] {
        let set = users.set_profile_field(&alice, me, &key(name), &raw(&bad)).await;
        assert!(matches!(set, Err(ProfileError::Value(_))), "{name}: {bad}");
    }
    let half = json!("a".repeat(MAX_PROFILE / 2));
    users.set_profile_field(&alice, me, &key("org.x.one"), &raw(&half)).await.unwrap();
    let set = users.set_profile_field(&alice, me, &key("org.x.two"), &raw(&half)).await;
    assert!(matches!(set, Err(ProfileError::TooLarge)));
}

#[tokio::test]
async fn an_empty_name_or_null_takes_it_away_as_old_clients_do() {
    let house = House::new();
    let alice = house.account("alice").await;
    let (users, me) = (&house.users, &alice.user_id);
    for nothing in [json!(""), json!(null)] {
        users.set_profile_field(&alice, me, &key("displayname"), &raw(&json!("A"))).await.unwrap();
        users.set_profile_field(&alice, me, &key("displayname"), &raw(&nothing)).await.unwrap();
        assert_eq!(profile(&house, "alice").await, json!({}));
    }
}

#[tokio::test]
async fn only_what_rooms_show_is_spread_and_only_when_it_changes() {
    let house = House::new();
    let alice = house.account("alice").await;
    let (users, me) = (&house.users, &alice.user_id);
    users.set_profile_field(&alice, me, &key("m.tz"), &raw(&json!("UTC"))).await.unwrap();
    assert!(house.all::<ProfileSpread>().await.is_empty());
    users.set_profile_field(&alice, me, &key("displayname"), &raw(&json!("A"))).await.unwrap();
    let jobs = house.all::<ProfileSpread>().await;
    assert_eq!(jobs[0].changed, house.all::<Profile>().await[0].changed);
    users.set_profile_field(&alice, me, &key("displayname"), &raw(&json!("A"))).await.unwrap();
    users.set_profile_field(&alice, me, &key("m.tz"), &raw(&json!("UTC"))).await.unwrap();
    assert_eq!(house.all::<ProfileSpread>().await, jobs);
}

#[tokio::test]
async fn fields_that_are_set_at_the_same_time_are_all_kept() {
    let house = House::new();
    let alice = house.account("alice").await;
    let other = House::over(std::sync::Arc::clone(&house.world));
    let sets = (0..16).map(|n| {
        let users = if n % 2 == 0 { &house.users } else { &other.users };
        let (alice, key, value) = (&alice, key(&format!("org.x.f{n}")), raw(&json!(n)));
        async move { users.set_profile_field(alice, &alice.user_id, &key, &value).await }
    });
    for set in join_all(sets).await {
        set.unwrap();
    }
    assert_eq!(profile(&house, "alice").await.as_object().unwrap().len(), 16);
}

#[tokio::test]
async fn only_active_users_of_this_server_have_a_profile_here() {
    let house = House::new();
    let (alice, bob) = (house.account("alice").await, house.account("bob").await);
    let (users, name) = (&house.users, key("displayname"));
    let set = users.set_profile_field(&alice, &bob.user_id, &name, &raw(&json!("B"))).await;
    assert!(matches!(set, Err(ProfileError::NotYours)));
    assert!(matches!(
        users.delete_profile_field(&alice, &bob.user_id, &name).await,
        Err(ProfileError::NotYours)
    ));
    for unknown in ["@carol:test", "@alice:elsewhere"] {
        let user_id = unknown.try_into().unwrap();
        assert!(matches!(users.profile(user_id).await, Err(ProfileError::NoSuchUser(_))));
        assert!(matches!(users.profile_field(user_id, &name).await, Err(ProfileError::NoSuchUser(_))));
    }
    let account = house.all::<Account>().await.remove(0);
    let mut batch = house.world.batch();
    batch.put(&Account { deactivated_at: Some(1), version: 2, ..account });
    house.world.commit(batch).await;
    assert!(matches!(users.profile(&alice.user_id).await, Err(ProfileError::NoSuchUser(_))));
    let set = users.set_profile_field(&alice, &alice.user_id, &name, &raw(&json!("A"))).await;
    assert!(matches!(set, Err(ProfileError::NoSuchUser(_))));
}
