use std::sync::Arc;
use std::time::Duration;

use myelin_model::RoomNid;
use myelin_runtime::{Clock, ManualClock};
use ruma::{OwnedUserId, UserId};

use super::{IsTyping, MAX_TYPERS, MAX_TYPING_ROOMS, Typing, TypingError};
use crate::testing::{House, requester};

const SECOND: Duration = Duration::from_secs(1);
const ROOM: RoomNid = RoomNid(1);

fn typing() -> (Typing, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (Typing::new(Arc::clone(&clock) as Arc<dyn Clock>), clock)
}

fn user(number: usize) -> OwnedUserId {
    UserId::parse(format!("@user{number:05}:test")).unwrap()
}

#[test]
fn typing_ends_by_itself_and_is_prolonged_by_saying_so_again() {
    let (typing, clock) = typing();
    typing.begin(ROOM, &user(1), Some(10 * SECOND));
    typing.begin(ROOM, &user(2), None);
    clock.advance(9 * SECOND);
    let version = typing.version();
    typing.begin(ROOM, &user(1), Some(10 * SECOND));
    assert_eq!(typing.version(), version, "nothing changes for those who look");
    clock.advance(9 * SECOND);
    assert_eq!(typing.room(ROOM).users, [user(1), user(2)]);
    clock.advance(SECOND);
    assert_eq!(typing.room(ROOM).users, [user(2)]);
    clock.advance(30 * SECOND);
    assert!(typing.room(ROOM).users.is_empty());
    typing.begin(ROOM, &user(1), Some(Duration::from_secs(1 << 40)));
    clock.advance(121 * SECOND);
    assert!(typing.room(ROOM).users.is_empty(), "nobody types for ever");
}

#[test]
fn whoever_was_away_learns_where_typing_began_and_ended() {
    let (typing, clock) = typing();
    let start = typing.version();
    typing.begin(RoomNid(1), &user(1), None);
    typing.begin(RoomNid(2), &user(1), None);
    let middle = typing.version();
    typing.stop(RoomNid(1), &user(1));
    typing.stop(RoomNid(1), &user(1));
    assert_eq!(typing.changed_after(middle), [(RoomNid(1), vec![])]);
    assert_eq!(typing.changed_after(start), [(RoomNid(2), vec![user(1)]), (RoomNid(1), vec![])]);
    assert_eq!(typing.changed_after(typing.version()), []);
    clock.advance(Duration::from_secs(4_000));
    // The end of typing in room 2 was noticed only now, so it is told for an hour from here.
    assert_eq!(typing.changed_after(start), [(RoomNid(2), vec![])]);
    clock.advance(Duration::from_secs(4_000));
    assert_eq!(typing.changed_after(start), []);
}

#[test]
fn a_new_process_begins_above_the_versions_of_the_last() {
    let (before, clock) = typing();
    for _ in 0..20 {
        before.begin(ROOM, &user(1), None);
        before.stop(ROOM, &user(1));
    }
    clock.advance(SECOND);
    assert!(Typing::new(clock).version() > before.version());
}

#[test]
fn memory_is_bounded() {
    let (typing, _) = typing();
    for number in 0..=MAX_TYPERS {
        typing.begin(ROOM, &user(number), None);
    }
    assert_eq!(typing.room(ROOM).users.len(), MAX_TYPERS);
    typing.begin(RoomNid(2), &user(1), None);
    typing.stop(RoomNid(2), &user(1));
    for room in 3..=i64::try_from(MAX_TYPING_ROOMS).unwrap() + 1 {
        typing.begin(RoomNid(room), &user(1), None);
    }
    assert_eq!(typing.changed_after(0).len(), MAX_TYPING_ROOMS);
    assert_eq!(typing.room(RoomNid(2)).version, 0, "the quiet room made place");
    typing.begin(RoomNid(-1), &user(1), None);
    assert!(typing.room(RoomNid(-1)).users.is_empty());
    let inner = typing.settled();
    assert_eq!(inner.by_version.len(), inner.rooms.len());
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_told_when_it_begins_and_when_time_ends_it() {
    let house = House::new();
    let (alice, bob) = (house.account("alice").await, house.account("bob").await);
    let (room, room_id) = house.room(&[&alice, &bob]).await;
    let users = Arc::clone(&house.users);
    let stopping = house.env.tasks.stopping();
    house.env.tasks.spawn("typing", async move { users.typing.expire_until(stopping).await });
    let mut changes = house.users.typing().subscribe();
    let set = |is_typing| house.users.set_typing(&alice, &alice.user_id, &room_id, is_typing);
    set(IsTyping::For(Some(5 * SECOND))).await.unwrap();
    assert_eq!(changes.recv().await.unwrap(), room);
    house.clock.advance(5 * SECOND);
    assert_eq!(changes.recv().await.unwrap(), room);
    assert!(house.users.typing().room(room).users.is_empty());
    set(IsTyping::For(None)).await.unwrap();
    set(IsTyping::No).await.unwrap();
    assert!(house.users.typing().room(room).users.is_empty());
    assert!(house.env.tasks.stop(SECOND).await);
}

#[tokio::test]
async fn only_members_type_and_only_for_themselves() {
    let house = House::new();
    let (alice, bob) = (house.account("alice").await, house.account("bob").await);
    let (_, room_id) = house.room(&[&alice, &bob]).await;
    let (carol, on) = (requester("carol"), IsTyping::For(None));
    let set = house.users.set_typing(&bob, &alice.user_id, &room_id, on).await;
    assert!(matches!(set, Err(TypingError::NotYours)));
    let set = house.users.set_typing(&carol, &carol.user_id, &room_id, on).await;
    assert!(matches!(set, Err(TypingError::NotInRoom)));
}
