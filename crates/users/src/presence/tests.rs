use std::sync::Arc;
use std::time::Duration;

use myelin_model::Requester;
use myelin_runtime::{Clock, ManualClock};
use ruma::UserId;

use super::{MAX_PRESENT, MAX_STATUS, Presence, PresenceError, PresenceState, Presences};
use crate::testing::{House, requester};

const SECOND: Duration = Duration::from_secs(1);
const ONLINE: Option<PresenceState> = Some(PresenceState::Online);
const IDLE: Option<PresenceState> = Some(PresenceState::Unavailable);

fn presences() -> (Arc<Presences>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (Arc::new(Presences::new(Arc::clone(&clock) as Arc<dyn Clock>, true)), clock)
}

fn on(name: &str, device: &str) -> Requester {
    Requester { device_id: Some(device.into()), ..requester(name) }
}

fn state(presences: &Presences, of: &Requester) -> PresenceState {
    presences.of(&of.user_id).map(|presence| presence.state).unwrap_or_default()
}

#[test]
fn a_client_that_asks_again_and_again_changes_nothing() {
    let (presences, clock) = presences();
    let alice = requester("alice");
    drop(presences.connect(&alice, ONLINE));
    assert_eq!(state(&presences, &alice), PresenceState::Online);
    let version = presences.version();
    for _ in 0..100 {
        clock.advance(SECOND);
        drop(presences.connect(&alice, ONLINE));
    }
    assert_eq!(presences.version(), version);
    let presence = presences.of(&alice.user_id).unwrap();
    assert_eq!((presence.currently_active, presence.last_active_ago), (Some(true), Some(Duration::ZERO)));
}

#[test]
fn whoever_goes_away_is_offline_after_a_while_and_not_while_a_sync_waits() {
    let (presences, clock) = presences();
    let alice = requester("alice");
    let waiting = presences.connect(&alice, ONLINE);
    clock.advance(200 * SECOND);
    assert_eq!(state(&presences, &alice), PresenceState::Online);
    drop(waiting);
    clock.advance(29 * SECOND);
    assert_eq!(state(&presences, &alice), PresenceState::Online);
    let version = presences.version();
    clock.advance(SECOND);
    assert_eq!(state(&presences, &alice), PresenceState::Offline);
    assert_eq!(presences.changed_after(version), [(version + 1, alice.user_id.clone())]);
    let presence = presences.of(&alice.user_id).unwrap();
    assert_eq!((presence.currently_active, presence.last_active_ago), (None, Some(230 * SECOND)));
}

#[test]
fn polling_alone_does_not_keep_a_user_from_idling_but_what_they_do_does() {
    let (presences, clock) = presences();
    let alice = requester("alice");
    let mut waiting = presences.connect(&alice, None);
    for _ in 0..10 {
        clock.advance(30 * SECOND);
        drop(std::mem::replace(&mut waiting, presences.connect(&alice, None)));
    }
    assert_eq!(state(&presences, &alice), PresenceState::Unavailable, "five minutes without a sign");
    let _another = presences.connect(&alice, None);
    assert_eq!(state(&presences, &alice), PresenceState::Unavailable);
    presences.act(&alice);
    assert_eq!(state(&presences, &alice), PresenceState::Online);
    let shown = presences.of(&alice.user_id).unwrap();
    assert_eq!(shown.currently_active, Some(true));
    clock.advance(60 * SECOND);
    assert_eq!(presences.of(&alice.user_id).unwrap().currently_active, Some(false));
    let version = presences.version();
    presences.act(&alice);
    presences.act(&alice);
    assert_eq!(presences.version(), version + 1);
    drop(waiting);
}

#[test]
fn the_best_of_several_devices_counts() {
    let (presences, clock) = presences();
    let (phone, laptop) = (on("alice", "PHONE"), on("alice", "LAPTOP"));
    let phone_waits = presences.connect(&phone, IDLE);
    assert_eq!(state(&presences, &phone), PresenceState::Unavailable);
    drop(presences.connect(&laptop, ONLINE));
    assert_eq!(state(&presences, &phone), PresenceState::Online);
    drop(presences.connect(&on("alice", "HIDDEN"), Some(PresenceState::Offline)));
    clock.advance(31 * SECOND);
    assert_eq!(state(&presences, &phone), PresenceState::Unavailable, "the laptop is gone");
    presences.act(&phone);
    assert_eq!(state(&presences, &phone), PresenceState::Online, "activity wakes an idle device");
    drop(phone_waits);
    let ghost = requester("ghost");
    drop(presences.connect(&ghost, Some(PresenceState::Offline)));
    presences.act(&ghost);
    assert_eq!(presences.of(&ghost.user_id), None);
}

#[test]
fn memory_is_bounded_and_those_offline_longest_make_place() {
    let (presences, clock) = presences();
    let user = |number: usize| Requester {
        user_id: UserId::parse(format!("@user{number}:test")).unwrap(),
        ..requester("x")
    };
    for number in 0..MAX_PRESENT {
        drop(presences.connect(&user(number), ONLINE));
    }
    drop(presences.connect(&user(MAX_PRESENT), ONLINE));
    assert_eq!(presences.of(&user(MAX_PRESENT).user_id), None, "all places are taken by those who are there");
    clock.advance(31 * SECOND);
    drop(presences.connect(&user(MAX_PRESENT), ONLINE));
    assert_eq!(presences.present(), [user(MAX_PRESENT).user_id]);
    assert_eq!(presences.changed_after(0).len(), MAX_PRESENT);
    for device in 0..100 {
        drop(presences.connect(&on("many", &device.to_string()), ONLINE));
    }
}

#[tokio::test]
async fn a_status_goes_with_it_and_is_told_to_those_who_share_a_room() {
    let house = House::new();
    let (alice, bob, eve) =
        (house.account("alice").await, house.account("bob").await, house.account("eve").await);
    house.room(&[&alice, &bob]).await;
    let users = &house.users;
    assert_eq!(users.presence_of(&bob, &alice.user_id).await.unwrap(), Presence::default());
    let set = |status: &str| {
        users.set_presence(&alice, &alice.user_id, PresenceState::Online, Some(status.to_owned()))
    };
    set("in a meeting").unwrap();
    let seen = users.presence_of(&bob, &alice.user_id).await.unwrap();
    assert_eq!((seen.state, seen.status_msg.as_deref()), (PresenceState::Online, Some("in a meeting")));
    let seen = users.presence_of(&eve, &alice.user_id).await;
    assert!(matches!(seen, Err(PresenceError::NotShared)));
    assert!(matches!(set(&"x".repeat(MAX_STATUS + 1)), Err(PresenceError::StatusTooLong)));
    let set = users.set_presence(&eve, &alice.user_id, PresenceState::Online, None);
    assert!(matches!(set, Err(PresenceError::NotYours)));
    set_offline_and_look(&house, &alice).await;
}

async fn set_offline_and_look(house: &House, alice: &Requester) {
    let users = &house.users;
    users.set_presence(alice, &alice.user_id, PresenceState::Offline, None).unwrap();
    let seen = users.presence_of(alice, &alice.user_id).await.unwrap();
    assert_eq!((seen.state, seen.status_msg, seen.currently_active), (PresenceState::Offline, None, None));
    users.presence().act(alice);
    assert_eq!(state(users.presence(), alice), PresenceState::Offline, "whoever hides stays hidden");
    drop(users.presence().connect(alice, None));
    assert_eq!(state(users.presence(), alice), PresenceState::Online, "a sync that says nothing shows them");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_told_when_time_changes_it() {
    let house = House::new();
    let alice = requester("alice");
    let users = Arc::clone(&house.users);
    let stopping = house.env.tasks.stopping();
    house.env.tasks.spawn("presence", async move { users.presence().expire_until(stopping).await });
    let mut changes = house.users.presence().subscribe();
    drop(house.users.presence().connect(&alice, ONLINE));
    changes.changed().await.unwrap();
    house.clock.advance(30 * SECOND);
    changes.changed().await.unwrap();
    assert_eq!(state(house.users.presence(), &alice), PresenceState::Offline);
    assert!(house.env.tasks.stop(SECOND).await);
}

#[test]
fn switched_off_nobody_is_there() {
    let presences = Arc::new(Presences::new(Arc::new(ManualClock::new()), false));
    let alice = requester("alice");
    let _waiting = presences.connect(&alice, ONLINE);
    assert_eq!((presences.of(&alice.user_id), presences.version()), (None, 0));
}
