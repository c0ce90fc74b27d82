use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use myelin_model::{Requester, RoomNid};
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::schema::users::ProfileSpread as Job;
use myelin_timeline::testing::{Draft, World};
use ruma::{OwnedRoomId, RoomId, UserId};
use serde_json::json;
use serde_json::value::to_raw_value;

use super::{ProfileSpread, SpreadError};
use crate::ProfileKey;
use crate::testing::House;

/// Rooms that take profiles, and fail at first as often as told.
struct Rooms {
    world: Arc<World>,
    name: String,
    failures: AtomicUsize,
    shown: Mutex<Vec<OwnedRoomId>>,
}

impl Rooms {
    fn new(house: &House, name: &str, failures: usize) -> Arc<Self> {
        let (world, name) = (Arc::clone(&house.world), name.to_owned());
        Arc::new(Self { world, name, failures: AtomicUsize::new(failures), shown: Mutex::default() })
    }

    fn shown(&self) -> Vec<OwnedRoomId> {
        self.shown.lock().unwrap().clone()
    }
}

impl ProfileSpread for Rooms {
    fn spread<'a>(
        &'a self,
        user_id: &'a UserId,
        room_id: &'a RoomId,
    ) -> BoxFuture<'a, Result<(), SpreadError>> {
        Box::pin(async move {
            let failing = |left: usize| left.checked_sub(1);
            if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing).is_ok() {
                return Err("the disk is full".into());
            }
            let number = room_id.as_str().trim_start_matches("!room").trim_end_matches(":test");
            let room = RoomNid(number.parse().unwrap());
            let content = json!({ "membership": "join", "displayname": self.name });
            self.world.send(Draft::state(room, user_id, "m.room.member", user_id.as_str(), content)).await;
            self.shown.lock().unwrap().push(room_id.to_owned());
            Ok(())
        })
    }
}

async fn rename(house: &House, user: &Requester, name: &str) {
    let value = to_raw_value(name).unwrap();
    let set = house.users.set_profile_field(user, &user.user_id, &ProfileKey::DisplayName, &value);
    set.await.unwrap();
}

async fn is_done(house: &House) {
    tokio::time::timeout(Duration::from_secs(3_600), async {
        while !house.all::<Job>().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("every room is seen to");
}

fn start(house: &House, rooms: &Arc<Rooms>) {
    house.users.start(&(Arc::clone(rooms) as Arc<dyn ProfileSpread>));
}

/// A user in many rooms, some of which they have left.
async fn wanderer(house: &House, rooms: usize) -> (Requester, Vec<OwnedRoomId>) {
    let (host, alice) = (house.account("host").await, house.account("alice").await);
    let mut joined = Vec::new();
    for n in 0..rooms {
        let (room, room_id) = house.room(&[&host, &alice]).await;
        if n % 5 == 4 {
            house.world.member(room, &alice.user_id, &alice.user_id, Membership::Leave).await;
        } else {
            joined.push(room_id);
        }
    }
    (alice, joined)
}

#[tokio::test(start_paused = true)]
async fn a_new_name_reaches_every_joined_room_once() {
    let house = House::new();
    let (alice, joined) = wanderer(&house, 150).await;
    let rooms = Rooms::new(&house, "New", 0);
    start(&house, &rooms);
    rename(&house, &alice, "New").await;
    is_done(&house).await;
    assert_eq!(rooms.shown(), joined);
    let members = house.all::<Member>().await;
    let of_alice = members.iter().filter(|member| member.user_id == alice.user_id);
    let named = of_alice.filter(|member| member.display_name.as_deref() == Some("New"));
    assert_eq!(named.count(), joined.len());
}

#[tokio::test(start_paused = true)]
async fn what_one_process_left_over_the_next_one_does_and_no_room_twice() {
    let house = House::new();
    let (alice, joined) = wanderer(&house, 20).await;
    rename(&house, &alice, "New").await;
    // The first process got through three rooms and died before it could say so.
    let before = Rooms::new(&house, "New", 0);
    for room_id in &joined[..3] {
        before.spread(&alice.user_id, room_id).await.unwrap();
    }
    let next = House::over(Arc::clone(&house.world));
    let rooms = Rooms::new(&next, "New", 0);
    start(&next, &rooms);
    is_done(&next).await;
    assert_eq!(rooms.shown(), joined[3..]);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_fails_is_tried_again() {
    let house = House::new();
    let (alice, joined) = wanderer(&house, 10).await;
    let rooms = Rooms::new(&house, "New", 6);
    start(&house, &rooms);
    rename(&house, &alice, "New").await;
    is_done(&house).await;
    assert_eq!(rooms.shown(), joined);
}

#[tokio::test(start_paused = true)]
async fn a_second_change_during_the_first_is_not_lost() {
    let house = House::new();
    let (alice, _) = wanderer(&house, 10).await;
    rename(&house, &alice, "Old").await;
    let job = house.all::<Job>().await.remove(0);
    let rooms = Rooms::new(&house, "Old", 0);
    rename(&house, &alice, "New").await;
    // The slice of the first change ends after the second change was made.
    house.users.spread_slice(&*rooms, job).await.unwrap();
    assert_eq!(house.all::<Job>().await.len(), 1, "the second change still waits");
}
