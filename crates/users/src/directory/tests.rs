use myelin_model::Requester;
use myelin_store::schema::rooms::Membership;
use myelin_store::schema::users::DirectoryTerm;
use ruma::{UserId, user_id};
use serde_json::value::to_raw_value;

use super::{MAX_SEARCH_TERM, SearchError};
use crate::testing::House;
use crate::{ProfileKey, SearchResults};

/// Makes an account with a display name, which is listed as one that joined a room.
async fn user(house: &House, name: &str, display_name: Option<&str>) -> Requester {
    let requester = house.account(name).await;
    list(house, &requester.user_id, None).await;
    rename(house, &requester, display_name).await;
    requester
}

async fn rename(house: &House, user: &Requester, name: Option<&str>) {
    let value = to_raw_value(&name.unwrap_or_default()).unwrap();
    let (user_id, key) = (&user.user_id, ProfileKey::DisplayName);
    house.users.set_profile_field(user, user_id, &key, &value).await.unwrap();
}

async fn list(house: &House, user_id: &UserId, display_name: Option<&str>) {
    let snapshot = house.world.snapshot().await;
    let mut batch = house.world.batch();
    let room = myelin_model::RoomNid(1);
    house.users.list_member(&*snapshot, &mut batch, room, user_id, display_name).await.unwrap();
    drop(snapshot);
    house.world.commit(batch).await;
}

async fn search(house: &House, by: &Requester, text: &str) -> SearchResults {
    house.users.search_users(by, text, 10).await.unwrap()
}

async fn names(house: &House, by: &Requester, text: &str) -> Vec<String> {
    let found = search(house, by, text).await;
    found.results.into_iter().map(|found| found.user_id.localpart().to_owned()).collect()
}

#[tokio::test]
async fn users_are_found_by_parts_of_names_and_ids_and_the_best_first() {
    let house = House::new();
    let alice = user(&house, "alice", None).await;
    let cooper = user(&house, "ac", Some("Alice Cooper")).await;
    let malice = user(&house, "m", Some("Malice")).await;
    let alicia = user(&house, "alicia", Some("Someone Else")).await;
    let eve = user(&house, "eve", Some("Eve")).await;
    house.room(&[&eve, &alice, &cooper, &malice, &alicia]).await;
    assert_eq!(names(&house, &eve, "alice").await, ["alice", "ac", "m"]);
    assert_eq!(names(&house, &eve, "ALIC").await, ["ac", "alicia", "alice", "m"]);
    assert_eq!(names(&house, &eve, "cooper alice").await, ["ac"]);
    assert_eq!(names(&house, &eve, "oop").await, ["ac"]);
    assert_eq!(names(&house, &eve, "@alicia:test").await, ["alicia"]);
    assert_eq!(names(&house, &eve, "@ali").await, ["alicia", "alice"]);
    assert_eq!(names(&house, &eve, "eve").await, [""; 0], "nobody looks for themself");
    assert_eq!(names(&house, &eve, "  ").await, [""; 0]);
    let too_long = house.users.search_users(&eve, &"x".repeat(MAX_SEARCH_TERM + 1), 10).await;
    assert!(matches!(too_long, Err(SearchError::TooLong)));
}

#[tokio::test]
async fn a_new_name_takes_the_place_of_the_old_one() {
    let house = House::new();
    let bob = user(&house, "bob", Some("Robert Builder")).await;
    let eve = user(&house, "eve", None).await;
    house.room(&[&eve, &bob]).await;
    rename(&house, &bob, Some("Bob Builder")).await;
    assert_eq!(names(&house, &eve, "robert").await, [""; 0]);
    assert_eq!(names(&house, &eve, "build").await, ["bob"]);
    rename(&house, &bob, None).await;
    assert_eq!(names(&house, &eve, "build").await, [""; 0]);
    assert_eq!(names(&house, &eve, "bob").await, ["bob"]);
    let terms = house.all::<DirectoryTerm>().await;
    let of_bob: Vec<_> = terms.iter().filter(|row| row.user_id == bob.user_id).collect();
    assert_eq!(of_bob.len(), 1, "{of_bob:?}");
}

#[tokio::test]
async fn only_those_are_found_who_share_a_room_or_are_in_a_public_one() {
    let house = House::new();
    let (eve, bob) = (user(&house, "eve", None).await, user(&house, "bob", None).await);
    let (hidden, open) = (user(&house, "hidden", None).await, user(&house, "open", None).await);
    house.room(&[&bob, &hidden]).await;
    for text in ["bob", "hidden", "@bob:test"] {
        assert_eq!(names(&house, &eve, text).await, [""; 0], "{text}");
    }
    house.world.room(&open.user_id, "world_readable").await;
    assert_eq!(names(&house, &eve, "open").await, ["open"]);
    let (room, _) = house.room(&[&bob]).await;
    house.world.member(room, &bob.user_id, &eve.user_id, Membership::Invite).await;
    assert_eq!(names(&house, &eve, "bob").await, [""; 0], "an invite is not a shared room yet");
    house.world.member(room, &eve.user_id, &eve.user_id, Membership::Join).await;
    assert_eq!(names(&house, &eve, "bob").await, ["bob"]);
}

#[tokio::test]
async fn users_of_other_servers_are_found_by_the_names_they_show_where_one_is() {
    let house = House::new();
    let eve = user(&house, "eve", None).await;
    let remote = user_id!("@zed:elsewhere");
    list(&house, remote, Some("Zed Zebra")).await;
    assert_eq!(names(&house, &eve, "zebra").await, [""; 0], "a hint alone shows nobody");
    let (room, _) = house.room(&[&eve]).await;
    house.world.member(room, remote, remote, Membership::Join).await;
    assert_eq!(names(&house, &eve, "zed").await, ["zed"]);
    assert_eq!(names(&house, &eve, "zebra").await, [""; 0], "the name is not shown in this room");
}

#[tokio::test]
async fn an_answer_is_bounded_and_says_so() {
    let house = House::new();
    let eve = user(&house, "eve", None).await;
    let (room, _) = house.room(&[&eve]).await;
    for number in 0..300 {
        let member = user(&house, &format!("member{number:03}"), None).await;
        house.world.member(room, &member.user_id, &member.user_id, Membership::Join).await;
    }
    let found = search(&house, &eve, "member").await;
    assert_eq!((found.results.len(), found.limited), (10, true));
    let exact = search(&house, &eve, "member299").await;
    assert_eq!((exact.results.len(), exact.limited), (1, false));
    let found = house.users.search_users(&eve, "member", 1_000).await.unwrap();
    assert_eq!((found.results.len(), found.limited), (50, true));
}
