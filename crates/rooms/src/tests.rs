//! Rooms on the memory engine: made, written, read, and the traps between.

mod sticky;

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use myelin_model::RoomNid;
use myelin_pdu::{CanonicalJsonRule, CanonicalObject, KeyId, RoomVersionId, SigningKey};
use myelin_runtime::{Env, ManualClock};
use myelin_store::memory::MemoryEngine;
use myelin_store::schema::rooms::{Event, Member, Membership, RoomHead, RoomSummary, Thread};
use myelin_store::{Batch, Engine, Identity, ReadError, Reader, Snapshot};
use myelin_timeline::Viewer;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};

use crate::{
    Arrival, Config, Creation, Draft, MembershipError, Notifies, Observer, ReadingError, Refusal, Removal,
    Rooms, SendError, TransactionKey, Visibility,
};

/// Messages notify, nothing else does.
struct MessagesNotify;

impl Observer for MessagesNotify {
    fn observe<'a>(
        &'a self,
        _: &'a dyn Snapshot,
        arrival: &'a Arrival<'a>,
        _: &'a mut Batch,
    ) -> BoxFuture<'a, Result<Notifies, ReadError>> {
        let message = arrival.pdu.event_type() == "m.room.message";
        Box::pin(async move { Ok(if message { Notifies::Yes } else { Notifies::No }) })
    }

    fn joined<'a>(&'a self, _: &'a UserId) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn erased(&self, _: &[Event], _: &mut Batch) {}

    fn room_purged(&self, _: RoomNid, _: &[OwnedUserId], _: &mut Batch) {}

    fn noticed<'a>(&'a self, _: &'a UserId, _: &'a RoomId) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

struct World {
    engine: Arc<dyn Engine>,
    rooms: Arc<Rooms>,
    clock: Arc<ManualClock>,
}

impl World {
    fn new() -> Self {
        Self::on(Arc::new(MemoryEngine::new(&Identity { server_name: "hs".to_owned() })))
    }

    fn on(engine: Arc<dyn Engine>) -> Self {
        let (env, clock) = Env::seeded(1);
        let id: KeyId = "ed25519:a_1".parse().unwrap();
        let config = Config {
            server_name: "hs".try_into().unwrap(),
            signing_key: SigningKey::from_seed(id, &[7; 32]).unwrap(),
            default_room_version: RoomVersionId::V12,
            policy_lists: Vec::new(),
            retention: None,
        };
        let rooms = Arc::new(Rooms::new(Arc::clone(&engine), env, config, Arc::new(MessagesNotify)));
        Self { engine, rooms, clock }
    }

    async fn room(&self, creation: Creation) -> OwnedRoomId {
        self.rooms.create(&creation).await.unwrap()
    }

    async fn say(&self, user: &str, room: &RoomId, body: &str) -> Result<OwnedEventId, SendError> {
        let content = json!({"msgtype": "m.text", "body": body});
        Ok(self.rooms.send(room, draft(user, "m.room.message", None, &content), None).await?.event_id)
    }

    async fn head(&self, room: &RoomId) -> RoomHead {
        let snapshot = self.engine.snapshot().await.unwrap();
        let nid = crate::load::room_nid(&*snapshot, room).await.unwrap().unwrap();
        snapshot.get::<RoomHead>(&(nid,)).await.unwrap().unwrap()
    }

    async fn event(&self, user: &str, room: &RoomId, event: &OwnedEventId) -> Result<Value, ReadingError> {
        let event = self.rooms.event(&viewer(user), room, event).await?;
        Ok(serde_json::from_str(event.get()).unwrap())
    }
}

fn user(id: &str) -> OwnedUserId {
    UserId::parse(id).unwrap()
}

fn viewer(id: &str) -> Viewer {
    Viewer { user_id: user(id), session: None, now: 0 }
}

fn canonical(value: &Value) -> CanonicalObject {
    CanonicalObject::parse(value.to_string().as_bytes(), CanonicalJsonRule::Strict).unwrap()
}

fn draft(sender: &str, kind: &str, state_key: Option<&str>, content: &Value) -> Draft {
    Draft {
        sender: user(sender),
        kind: kind.to_owned(),
        state_key: state_key.map(str::to_owned),
        content: canonical(content),
        redacts: None,
        sticky: None,
    }
}

fn redaction(sender: &str, target: &OwnedEventId) -> Draft {
    Draft { redacts: Some(target.clone()), ..draft(sender, "m.room.redaction", None, &json!({})) }
}

fn creation(creator: &str) -> Creation {
    Creation {
        creator: user(creator),
        visibility: Visibility::Private,
        preset: None,
        version: None,
        creation_content: CanonicalObject::default(),
        initial_state: Vec::new(),
        name: Some("Tea".to_owned()),
        topic: None,
        alias_name: None,
        invite: Vec::new(),
        invite_addresses: Vec::new(),
        is_direct: false,
        power_level_content_override: None,
    }
}

#[tokio::test]
async fn a_new_room_has_its_first_events_in_one_commit() {
    let world = World::new();
    let before = *world.engine.positions().borrow();
    let room = world.room(Creation { invite: vec![user("@bob:hs")], ..creation("@alice:hs") }).await;
    assert!(
        room.as_str().starts_with('!') && !room.as_str().contains(':'),
        "a room id of version 12: {room}"
    );
    let head = world.head(&room).await;
    assert_eq!((head.joined, head.invited, head.counter), (1, 1, 0));
    assert!(head.last_pos > before);
    let state = world.rooms.state(&viewer("@alice:hs"), &room).await.unwrap();
    let state: Vec<Value> = serde_json::from_value(serde_json::to_value(&state).unwrap()).unwrap();
    let mut kinds: Vec<&str> = state.iter().map(|event| event["type"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "m.room.create",
            "m.room.guest_access",
            "m.room.history_visibility",
            "m.room.join_rules",
            "m.room.member",
            "m.room.member",
            "m.room.name",
            "m.room.power_levels",
        ]
    );
}

#[tokio::test]
async fn two_identical_rooms_in_one_millisecond_are_two_rooms() {
    let world = World::new();
    let (wish, other) = (creation("@alice:hs"), creation("@alice:hs"));
    let (one, two) = tokio::join!(world.rooms.create(&wish), world.rooms.create(&other));
    assert_ne!(one.unwrap(), two.unwrap());
    assert_eq!(world.rooms.joined_rooms(&user("@alice:hs")).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_room_of_version_11_can_be_made_and_one_of_version_1_is_refused() {
    let world = World::new();
    let room = world.room(Creation { version: Some(RoomVersionId::V11), ..creation("@alice:hs") }).await;
    assert!(room.as_str().ends_with(":hs"));
    assert!(world.say("@alice:hs", &room, "hello").await.is_ok());
    let old = Creation { version: Some(RoomVersionId::V1), ..creation("@alice:hs") };
    assert!(world.rooms.create(&old).await.is_err());
}

#[tokio::test]
async fn many_senders_share_commits_and_every_event_keeps_its_own_place() {
    let world = World::new();
    let room = world.room(creation("@alice:hs")).await;
    let first = world.head(&room).await;
    let sent = join_all((0..200).map(|n| {
        let (world, room) = (&world, &room);
        async move { world.say("@alice:hs", room, &n.to_string()).await.unwrap() }
    }))
    .await;
    let mut ids = sent.clone();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 200);
    let head = world.head(&room).await;
    assert_eq!(head.counter, 200);
    assert_eq!((head.last_order - first.last_order) >> 20, 200);
    assert_eq!(head.bump_pos, head.last_pos);
}

#[tokio::test]
async fn a_repeated_transaction_makes_one_event_even_at_once_and_after_a_restart() {
    let world = World::new();
    let room = world.room(creation("@alice:hs")).await;
    let key = TransactionKey { session: 1, scope: "send".to_owned(), txn_id: "t".to_owned() };
    let message = draft("@alice:hs", "m.room.message", None, &json!({"body": "once"}));
    let all = join_all((0..20).map(|_| world.rooms.send(&room, message.clone(), Some(key.clone())))).await;
    let ids: Vec<_> = all.into_iter().map(|sent| sent.unwrap().event_id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    let again = World::on(Arc::clone(&world.engine));
    assert_eq!(again.rooms.send(&room, message.clone(), Some(key)).await.unwrap().event_id, ids[0]);
    let other = TransactionKey { session: 2, scope: "send".to_owned(), txn_id: "t".to_owned() };
    assert_ne!(again.rooms.send(&room, message, Some(other)).await.unwrap().event_id, ids[0]);
    assert_eq!(again.head(&room).await.counter, 2);
}

#[tokio::test]
async fn only_members_write_and_only_the_invited_join() {
    let world = World::new();
    let room = world.room(creation("@alice:hs")).await;
    let refused = world.say("@bob:hs", &room, "hello").await.unwrap_err();
    assert!(matches!(refused, SendError::Refused(Refusal::NotAllowed(_))), "{refused}");
    assert!(world.rooms.join(&user("@bob:hs"), &room, CanonicalObject::default()).await.is_err());
    world.rooms.invite(&user("@alice:hs"), &room, &user("@bob:hs"), None).await.unwrap();
    world.rooms.join(&user("@bob:hs"), &room, CanonicalObject::default()).await.unwrap();
    world.rooms.join(&user("@bob:hs"), &room, CanonicalObject::default()).await.unwrap();
    assert!(world.say("@bob:hs", &room, "hello").await.is_ok());
    let head = world.head(&room).await;
    assert_eq!((head.joined, head.invited), (2, 0));
    let kicked = world.rooms.kick(&user("@bob:hs"), &room, &user("@alice:hs"), Removal::default()).await;
    assert!(matches!(kicked, Err(MembershipError::Send(SendError::Refused(_)))));
    let enough = Removal { reason: Some("enough"), redact_events: false };
    world.rooms.ban(&user("@alice:hs"), &room, &user("@bob:hs"), enough).await.unwrap();
    assert!(world.rooms.join(&user("@bob:hs"), &room, CanonicalObject::default()).await.is_err());
    world.rooms.unban(&user("@alice:hs"), &room, &user("@bob:hs"), None).await.unwrap();
    assert_eq!(world.head(&room).await.joined, 1);
}

#[tokio::test]
async fn who_left_sees_the_state_they_left_and_can_forget_it() {
    let world = World::new();
    let room = world.room(Creation { invite: vec![user("@bob:hs")], ..creation("@alice:hs") }).await;
    let bob = user("@bob:hs");
    assert!(matches!(world.rooms.state(&viewer("@bob:hs"), &room).await, Err(ReadingError::NotInRoom)));
    world.rooms.join(&bob, &room, CanonicalObject::default()).await.unwrap();
    assert!(matches!(world.rooms.forget(&bob, &room).await, Err(MembershipError::StillInRoom)));
    world.rooms.leave(&bob, &room, None).await.unwrap();
    world.rooms.leave(&bob, &room, None).await.unwrap();
    let renamed = draft("@alice:hs", "m.room.name", Some(""), &json!({"name": "Coffee"}));
    world.rooms.send_state(&room, renamed).await.unwrap();
    let name = async |who| {
        let state = world.rooms.state_event(&viewer(who), &room, "m.room.name", "").await?;
        Ok::<_, ReadingError>(state.content.get().to_owned())
    };
    assert_eq!(name("@alice:hs").await.unwrap(), r#"{"name":"Coffee"}"#);
    assert_eq!(name("@bob:hs").await.unwrap(), r#"{"name":"Tea"}"#);
    world.rooms.forget(&bob, &room).await.unwrap();
    assert!(matches!(name("@bob:hs").await, Err(ReadingError::NotInRoom)));
}

#[tokio::test]
async fn a_redaction_takes_the_content_and_needs_the_power_for_it() {
    let world = World::new();
    let room = world.room(Creation { invite: vec![user("@bob:hs")], ..creation("@alice:hs") }).await;
    world.rooms.join(&user("@bob:hs"), &room, CanonicalObject::default()).await.unwrap();
    let event = world.say("@alice:hs", &room, "secret").await.unwrap();
    let refused = world.rooms.send(&room, redaction("@bob:hs", &event), None).await.unwrap_err();
    assert!(matches!(refused, SendError::Refused(Refusal::MayNotRedact)));
    let by = world.rooms.send(&room, redaction("@alice:hs", &event), None).await.unwrap().event_id;
    let shown = world.event("@bob:hs", &room, &event).await.unwrap();
    assert_eq!(shown["content"], json!({}));
    assert_eq!(shown["unsigned"]["redacted_because"]["event_id"], by.as_str());
    let unknown = OwnedEventId::try_from("$nothing").unwrap();
    let missing = world.rooms.send(&room, redaction("@alice:hs", &unknown), None).await.unwrap_err();
    assert!(matches!(missing, SendError::Refused(Refusal::NoSuchEvent)));
}

#[tokio::test]
async fn a_thread_counts_its_replies_and_forgets_redacted_ones() {
    let world = World::new();
    let room = world.room(creation("@alice:hs")).await;
    let root = world.say("@alice:hs", &room, "root").await.unwrap();
    let reply = json!({"body": "re", "m.relates_to": {"rel_type": "m.thread", "event_id": root}});
    let replies = join_all(
        (0..5).map(|_| world.rooms.send(&room, draft("@alice:hs", "m.room.message", None, &reply), None)),
    )
    .await;
    let thread = async || {
        let snapshot = world.engine.snapshot().await.unwrap();
        let nid = crate::load::room_nid(&*snapshot, &room).await.unwrap().unwrap();
        snapshot.get::<Thread>(&(nid, root.clone())).await.unwrap()
    };
    assert_eq!(thread().await.unwrap().replies, 5);
    let bundled = world.event("@alice:hs", &room, &root).await.unwrap();
    assert_eq!(bundled["unsigned"]["m.relations"]["m.thread"]["count"], 5);
    for sent in replies {
        let target = sent.unwrap().event_id;
        world.rooms.send(&room, redaction("@alice:hs", &target), None).await.unwrap();
    }
    assert_eq!(thread().await, None);
}

#[tokio::test]
async fn a_summary_follows_the_state_through_redactions() {
    let world = World::new();
    let room = world.room(creation("@alice:hs")).await;
    let named = draft("@alice:hs", "m.room.name", Some(""), &json!({"name": "Gone"}));
    let event = world.rooms.send_state(&room, named).await.unwrap().event_id;
    let summary = async || {
        let snapshot = world.engine.snapshot().await.unwrap();
        let nid = crate::load::room_nid(&*snapshot, &room).await.unwrap().unwrap();
        snapshot.get::<RoomSummary>(&(nid,)).await.unwrap().unwrap()
    };
    assert_eq!(summary().await.name.as_deref(), Some("Gone"));
    world.rooms.send(&room, redaction("@alice:hs", &event), None).await.unwrap();
    assert_eq!(summary().await.name, None);
    assert_eq!(summary().await.join_rule.as_deref(), Some("invite"));
}

#[tokio::test]
async fn an_alias_names_one_room_until_its_maker_takes_it_away() {
    let world = World::new();
    let room = world.room(Creation { alias_name: Some("tea".to_owned()), ..creation("@alice:hs") }).await;
    let alias: ruma::OwnedRoomAliasId = "#tea:hs".try_into().unwrap();
    assert_eq!(world.rooms.resolve_alias(&alias).await.unwrap(), Some(room.clone()));
    let again = Creation { alias_name: Some("tea".to_owned()), ..creation("@bob:hs") };
    assert!(world.rooms.create(&again).await.is_err());
    assert!(world.rooms.joined_rooms(&user("@bob:hs")).await.unwrap().is_empty(), "nothing of it was made");
    assert!(world.rooms.delete_alias(&user("@bob:hs"), &alias, false).await.is_err());
    world.rooms.delete_alias(&user("@alice:hs"), &alias, false).await.unwrap();
    assert_eq!(world.rooms.resolve_alias(&alias).await.unwrap(), None);
}

#[tokio::test]
async fn a_member_row_remembers_the_first_join_through_profile_changes() {
    let world = World::new();
    let room = world.room(creation("@alice:hs")).await;
    let member = async || {
        let snapshot = world.engine.snapshot().await.unwrap();
        let nid = crate::load::room_nid(&*snapshot, &room).await.unwrap().unwrap();
        snapshot.get::<Member>(&(nid, user("@alice:hs"))).await.unwrap().unwrap()
    };
    let joined_at = member().await.joined_at;
    let renamed = json!({"membership": "join", "displayname": "Alice", "avatar_url": 7});
    world
        .rooms
        .send_state(&room, draft("@alice:hs", "m.room.member", Some("@alice:hs"), &renamed))
        .await
        .unwrap();
    let after = member().await;
    assert_eq!((after.joined_at, after.membership), (joined_at, Membership::Join));
    assert_eq!((after.display_name.as_deref(), after.avatar_url), (Some("Alice"), None));
}
