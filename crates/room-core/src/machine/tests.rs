use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use myelin_pdu::{CanonicalObject, RoomVersionId};
use ruma::{EventId, OwnedUserId, RoomId, UserId, server_name};
use serde_json::{Value, json};

use super::*;
use crate::auth::{Rejection, Standing};

fn key() -> SigningKey {
    SigningKey::from_seed("ed25519:0".parse().unwrap(), &[1; 32]).unwrap()
}

/// A server named `x` and the room that its users talk in; committed events are kept like in a store.
struct Server {
    key: SigningKey,
    machine: RoomMachine,
    now: i64,
    timeline: Vec<Planned>,
}

fn user(name: &str) -> OwnedUserId {
    UserId::parse(format!("@{name}:x")).unwrap()
}

fn object(value: &Value) -> CanonicalObject {
    CanonicalObject::try_from(value.as_object().unwrap().clone()).unwrap()
}

fn message(sender: &str) -> Draft {
    Draft::message(user(sender), "m.room.message", object(&json!({"body": "hi"})))
}

fn state(sender: &str, event_type: &str, state_key: &str, content: &Value) -> Draft {
    Draft::state(user(sender), event_type, state_key, object(content))
}

fn member(sender: &str, target: &str, membership: &str) -> Draft {
    state(sender, key::MEMBER, &format!("@{target}:x"), &json!({"membership": membership}))
}

fn rules(version: RoomVersionId) -> SupportedRules {
    SupportedRules::new(version.rules()).unwrap()
}

impl Server {
    /// Alice creates a room, joins it, and opens it to all.
    fn with_room(version: RoomVersionId) -> Self {
        let key = key();
        let signer = Signer { server_name: server_name!("x"), key: &key };
        let is_twelve = version == RoomVersionId::V12;
        let room_id = (!is_twelve).then(|| RoomId::parse("!room:x").unwrap());
        let creator = if version < RoomVersionId::V11 { json!({"creator": "@alice:x"}) } else { json!({}) };
        let event_id = Some(EventId::parse("$first:x").unwrap());
        let create = Draft { event_id, ..state("alice", "", "", &creator) };
        let (machine, first) = RoomMachine::create(rules(version), room_id, create, 1000, signer).unwrap();
        let mut server = Self { key, machine, now: 1000, timeline: vec![first] };
        let users = if is_twelve { json!({}) } else { json!({"@alice:x": 100}) };
        server.send(member("alice", "alice", "join"));
        server.send(state("alice", key::POWER_LEVELS, "", &json!({"users": users})));
        server.send(state("alice", key::JOIN_RULES, "", &json!({"join_rule": "public"})));
        server
    }

    fn propose(&mut self, draft: Draft) -> Result<Planned, Refusal> {
        self.now += 1;
        let event_id = Some(EventId::parse(format!("${}:x", self.now)).unwrap());
        let draft = Draft { event_id, ..draft };
        let signer = Signer { server_name: server_name!("x"), key: &self.key };
        let planned = self.machine.propose(draft, self.now, signer)?;
        self.timeline.push(planned.clone());
        Ok(planned)
    }

    /// Proposes, answering what the machine needs from the stored events.
    fn send(&mut self, draft: Draft) -> Planned {
        self.supply_for(&draft);
        self.propose(draft).unwrap()
    }

    fn supply_for(&mut self, draft: &Draft) {
        for key in self.machine.needs(draft) {
            let event = self.stored(&key);
            self.machine.supply(key, event);
        }
    }

    fn stored(&self, key: &StateKey) -> Option<StateEvent> {
        let mut sets_it = self.timeline.iter().rev().filter(|one| one.event.key() == Some(key.as_ref()));
        sets_it.next().map(|planned| StateEvent::from(planned.pdu.clone()))
    }

    fn commit(&mut self) {
        let newest = self.machine.newest();
        self.machine.committed(newest);
    }

    /// What a driver does after a restart, or after a commit that failed.
    fn reload(&mut self) {
        self.commit();
        let head = Head {
            room_id: self.machine.room_id().to_owned(),
            extremities: self.machine.extremities().to_vec(),
            newest: self.machine.newest(),
        };
        self.machine = RoomMachine::load(self.machine.rules(), head);
    }
}

fn extremity(event_id: &str, depth: i64) -> Extremity {
    Extremity { event_id: EventId::parse(event_id).unwrap(), depth, reference_hash: None }
}

fn keys(keys: &[(&str, &str)]) -> Vec<StateKey> {
    keys.iter().map(|(event_type, state_key)| StateKey::new(event_type, state_key)).collect()
}

#[test]
fn events_of_version_2_have_chosen_ids_and_refer_to_others_by_their_hashes_too() {
    let mut server = Server::with_room(RoomVersionId::V2);
    assert_eq!(server.timeline[0].pdu.event_id(), "$first:x");
    server.reload();
    let before = server.timeline.last().unwrap().pdu.clone();
    let planned = server.send(message("alice"));
    assert!(planned.pdu.event_id().as_str().ends_with(":x"), "{}", planned.pdu.event_id());
    let hash = json!({"sha256": BASE64_STANDARD_NO_PAD.encode(before.reference_hash())});
    let event: Value = serde_json::from_slice(planned.pdu.raw()).unwrap();
    assert_eq!(event["prev_events"], json!([[before.event_id(), hash]]));
    assert_eq!(event["auth_events"].as_array().map(Vec::len), Some(3));
    assert_eq!(planned.pdu.prev_events(), [before.event_id()]);
}

#[test]
fn who_lacks_power_redacts_what_comes_from_their_own_server_in_version_2() {
    let mut server = Server::with_room(RoomVersionId::V2);
    server.send(member("bob", "bob", "join"));
    let redaction = |sender: &str, target: &str| Draft {
        redacts: Some(EventId::parse(target).unwrap()),
        ..Draft::message(user(sender), key::REDACTION, object(&json!({})))
    };
    server.send(redaction("bob", "$any:x"));
    server.supply_for(&redaction("bob", "$any:y"));
    let refused = server.propose(redaction("bob", "$any:y"));
    assert!(matches!(refused, Err(Refusal::Rejected(Rejection::LacksPower { .. }))), "{refused:?}");
    server.send(redaction("alice", "$any:y"));
}

#[test]
fn the_create_event_of_version_12_makes_the_rooms_id() {
    let server = Server::with_room(RoomVersionId::V12);
    let create = &server.timeline[0];
    assert_eq!(create.pdu.event_id().as_str().replacen('$', "!", 1), server.machine.room_id().as_str());
    assert!(!create.pdu.states_room_id());
    assert!(create.pdu.auth_events().is_empty() && create.pdu.prev_events().is_empty());
    assert_eq!((create.order_key, create.pdu.depth()), (OrderKey::FIRST, 1));
    assert_eq!(create.pdu.content_object().get_str("room_version"), Some("12"));
    for planned in &server.timeline[1..] {
        assert_eq!(planned.pdu.room_id(), server.machine.room_id());
    }
}

#[test]
fn the_room_id_of_version_11_is_chosen_and_must_be_of_this_server() {
    let server = Server::with_room(RoomVersionId::V11);
    assert_eq!(server.timeline[0].pdu.room_id(), "!room:x");
    let key = key();
    let signer = Signer { server_name: server_name!("x"), key: &key };
    let create = |room_id: Option<&str>| {
        let room_id = room_id.map(|id| RoomId::parse(id).unwrap());
        RoomMachine::create(rules(RoomVersionId::V11), room_id, state("alice", "", "", &json!({})), 1, signer)
    };
    assert!(matches!(create(None), Err(Refusal::Rejected(Rejection::CreateWithoutRoomId))));
    assert!(matches!(create(Some("!r:y")), Err(Refusal::Rejected(Rejection::RoomIdOfAnotherServer { .. }))));
}

#[test]
fn a_create_event_with_bad_creators_makes_no_room() {
    let key = key();
    let signer = Signer { server_name: server_name!("x"), key: &key };
    let create = state("alice", "", "", &json!({"additional_creators": ["bob"]}));
    let result = RoomMachine::create(rules(RoomVersionId::V12), None, create, 1, signer);
    assert!(matches!(result, Err(Refusal::Rejected(Rejection::Content(_)))));
}

#[test]
fn events_are_planned_one_on_top_of_the_other() {
    for version in [RoomVersionId::V11, RoomVersionId::V12] {
        let mut server = Server::with_room(version);
        for name in ["bob", "carol"] {
            server.send(member(name, name, "join"));
            server.send(message(name));
        }
        for pair in server.timeline.windows(2) {
            let [before, after] = pair else { panic!() };
            assert_eq!(after.pdu.prev_events(), [before.pdu.event_id()]);
            assert_eq!(after.pdu.depth(), before.pdu.depth() + 1);
            assert_eq!(Some(after.order_key), before.order_key.next_live());
        }
        let last = server.timeline.last().unwrap();
        assert_eq!(server.machine.extremities(), [Extremity::from(&last.pdu)]);
    }
}

#[test]
fn a_message_cites_levels_membership_and_before_version_12_the_create_event() {
    for (version, cited) in [(RoomVersionId::V11, vec![0, 2, 1]), (RoomVersionId::V12, vec![2, 1])] {
        let mut server = Server::with_room(version);
        let message = server.send(message("alice"));
        let expected: Vec<&EventId> = cited.into_iter().map(|n| server.timeline[n].pdu.event_id()).collect();
        assert_eq!(message.pdu.auth_events(), expected);
    }
}

#[test]
fn a_planned_event_reads_the_same_once_it_is_parsed() {
    let mut server = Server::with_room(RoomVersionId::V12);
    server.send(member("bob", "bob", "join"));
    server.send(message("bob"));
    for planned in &server.timeline {
        let parsed = Pdu::parse(planned.pdu.raw().clone(), server.machine.rules().get()).unwrap();
        assert_eq!(parsed, planned.pdu);
        assert_eq!(format!("{:?}", *Event::from(&parsed)), format!("{:?}", *planned.event));
    }
}

#[test]
fn what_was_planned_here_is_accepted_elsewhere() {
    use crate::verdict::{Entry, PartialState, Verdict, receive};
    struct After<'a>(&'a [Planned]);
    impl PartialState for After<'_> {
        fn entry(&self, event_type: &str, state_key: &str) -> Entry<'_> {
            let found = self.0.iter().rev().find(|one| one.event.is(event_type, state_key));
            found.map_or(Entry::Absent, |planned| Entry::Event(&planned.event))
        }
    }
    for version in [RoomVersionId::V11, RoomVersionId::V12] {
        let mut server = Server::with_room(version);
        server.send(member("bob", "bob", "join"));
        server.send(member("alice", "dan", "invite"));
        server.send(member("dan", "dan", "join"));
        server.send(member("alice", "dan", "ban"));
        server.send(message("bob"));
        let all = &server.timeline;
        for (n, planned) in all.iter().enumerate() {
            let before = After(&all[..n]);
            let lookup = |id: &str| {
                let found = all.iter().find(|one| one.pdu.event_id() == id);
                found.map(|planned| (&planned.event, Standing::Accepted))
            };
            let verdict = receive(server.machine.rules(), &planned.event, lookup, &before, &before);
            assert_eq!(verdict, Verdict::Accept, "{:?}", planned.event);
        }
    }
}

#[test]
fn a_loaded_room_needs_what_judges_the_draft_and_nothing_twice() {
    let mut server = Server::with_room(RoomVersionId::V12);
    server.reload();
    let core = [(key::POWER_LEVELS, ""), (key::MEMBER, "@alice:x"), (key::CREATE, "")];
    assert_eq!(server.machine.needs(&message("alice")), keys(&core));
    server.supply_for(&message("alice"));
    assert!(server.machine.needs(&message("alice")).is_empty());
    assert_eq!(server.machine.needs(&message("bob")), keys(&[(key::MEMBER, "@bob:x")]));
    let topic = state("alice", "m.room.topic", "", &json!({}));
    assert_eq!(server.machine.needs(&topic), keys(&[("m.room.topic", "")]));
    assert_eq!(
        server.machine.needs(&member("alice", "bob", "invite")),
        keys(&[(key::MEMBER, "@bob:x"), (key::JOIN_RULES, "")])
    );
}

#[test]
fn without_what_it_needs_a_draft_is_not_judged() {
    let mut server = Server::with_room(RoomVersionId::V12);
    server.reload();
    assert!(matches!(server.propose(message("alice")), Err(Refusal::Missing(keys)) if keys.len() == 3));
}

#[test]
fn a_new_room_needs_nothing_from_the_store() {
    let mut server = Server::with_room(RoomVersionId::V12);
    for n in 0..50 {
        assert!(server.machine.needs(&member("alice", &format!("guest{n}"), "invite")).is_empty());
        server.propose(member("alice", &format!("guest{n}"), "invite")).unwrap();
    }
}

#[test]
fn a_refused_draft_leaves_the_head_where_it_was() {
    let mut server = Server::with_room(RoomVersionId::V12);
    let (extremities, newest) = (server.machine.extremities().to_vec(), server.machine.newest());
    let refused = server.propose(message("mallory"));
    assert!(matches!(refused, Err(Refusal::Rejected(Rejection::SenderNotJoined { .. }))));
    assert_eq!((server.machine.extremities(), server.machine.newest()), (extremities.as_slice(), newest));
    assert!(matches!(
        server.propose(state("alice", key::CREATE, "", &json!({}))),
        Err(Refusal::Rejected(Rejection::CreateHasPrevEvents))
    ));
    let mut large = message("alice");
    large.content.insert("body", "x".repeat(70_000));
    assert!(matches!(server.propose(large), Err(Refusal::Malformed(error)) if error.is_too_large()));
    assert_eq!(server.machine.newest(), newest);
}

#[test]
fn a_planned_change_counts_before_it_is_committed() {
    let mut server = Server::with_room(RoomVersionId::V12);
    server.send(member("bob", "bob", "join"));
    server.send(message("bob"));
    let ban = server.send(member("alice", "bob", "ban"));
    assert_eq!(ban.membership_change(), Some(MembershipChange::KickAndBan));
    assert_eq!(ban.change.unwrap().replaced.unwrap().membership(), Some(&Membership::Join));
    assert!(matches!(server.propose(message("bob")), Err(Refusal::Rejected(_))));
}

#[test]
fn what_the_store_says_does_not_undo_what_is_planned() {
    let mut server = Server::with_room(RoomVersionId::V12);
    server.send(member("bob", "bob", "join"));
    let old = server.stored(&StateKey::member("@bob:x"));
    server.send(member("alice", "bob", "ban"));
    server.machine.supply(StateKey::member("@bob:x"), old);
    assert!(matches!(server.propose(message("bob")), Err(Refusal::Rejected(_))));
}

#[test]
fn a_state_event_tells_what_it_replaces() {
    let mut server = Server::with_room(RoomVersionId::V12);
    let first = server.send(state("alice", "m.room.topic", "", &json!({"topic": "a"})));
    assert!(first.change.unwrap().replaced.is_none());
    server.reload();
    let second = server.send(state("alice", "m.room.topic", "", &json!({"topic": "b"})));
    assert_eq!(second.change.unwrap().replaced.unwrap().pdu(), &first.pdu);
    assert!(server.send(message("alice")).change.is_none());
}

#[test]
fn of_too_many_extremities_the_deepest_are_followed_and_the_rest_stay() {
    let mut server = Server::with_room(RoomVersionId::V12);
    server.commit();
    let extremities: Vec<Extremity> =
        (0..25_i64).map(|n| extremity(&format!("$fork{n:02}"), 100 + n / 2)).collect();
    let head = Head { room_id: server.machine.room_id().to_owned(), extremities, newest: OrderKey(7) };
    server.machine = RoomMachine::load(server.machine.rules(), head);
    let planned = server.send(message("alice"));
    assert_eq!(planned.pdu.prev_events().len(), 20);
    assert_eq!(planned.pdu.depth(), 113);
    let left: Vec<&str> = server.machine.extremities().iter().map(|one| one.event_id.as_str()).collect();
    assert_eq!(
        left,
        ["$fork00", "$fork01", "$fork02", "$fork03", "$fork05", planned.pdu.event_id().as_str()]
    );
    assert_eq!(server.send(message("alice")).pdu.prev_events().len(), 6);
}

#[test]
fn depth_ends_where_the_room_version_says() {
    let mut server = Server::with_room(RoomVersionId::V12);
    server.commit();
    let max = server.machine.rules().max_depth;
    let deep = extremity("$deep", max);
    let head =
        Head { room_id: server.machine.room_id().to_owned(), extremities: vec![deep], newest: OrderKey(0) };
    server.machine = RoomMachine::load(server.machine.rules(), head);
    assert_eq!(server.send(message("alice")).pdu.depth(), max);
}

#[test]
fn only_so_many_events_wait_for_their_commit() {
    let mut server = Server::with_room(RoomVersionId::V12);
    while server.machine.in_flight() < MAX_IN_FLIGHT {
        server.propose(message("alice")).unwrap();
    }
    assert_eq!(server.propose(message("alice")).unwrap_err(), Refusal::TooManyInFlight);
    let first = server.timeline[0].order_key;
    server.machine.committed(first);
    server.propose(message("alice")).unwrap();
}

#[test]
fn a_room_of_ten_thousand_members_keeps_a_bounded_part_of_its_state() {
    let mut server = Server::with_room(RoomVersionId::V12);
    // Each is proposed when the one before is committed; memberships come from the store as in any large room.
    let join = server.send(member("bob", "bob", "join")).pdu;
    let mut most = 0;
    for n in 0..10_000 {
        let draft = message(&format!("user{n}"));
        for key in server.machine.needs(&draft) {
            assert!(n > 0 || key.event_type.as_str() == key::MEMBER);
            server.machine.supply(key, Some(StateEvent::from(join.clone())));
        }
        let refused = server.propose(draft);
        // The store's answer was some other user's membership, so that the draft is judged, and refused.
        assert!(refused.is_ok() || matches!(refused, Err(Refusal::Rejected(_))));
        server.commit();
        most = most.max(server.machine.state.weight());
    }
    assert!(most < 400_000, "{most} bytes");
    assert!(server.machine.needs(&message("alice")).len() <= 1);
}

#[test]
fn what_is_not_committed_is_never_forgotten() {
    let mut server = Server::with_room(RoomVersionId::V12);
    server.commit();
    server.reload();
    let padding = "x".repeat(2000);
    for n in 0..900 {
        let draft = state("alice", "org.example.big", &n.to_string(), &json!({"padding": padding}));
        server.send(draft);
    }
    for n in 0..900 {
        let key = StateKey::new("org.example.big", &n.to_string());
        assert!(server.machine.current(&key).flatten().is_some(), "{n} was forgotten before its commit");
    }
    server.commit();
    assert!(server.machine.state.weight() < 400_000);
    let forgotten = (0..900)
        .filter(|n| server.machine.current(&StateKey::new("org.example.big", &n.to_string())).is_none());
    assert!(forgotten.count() > 700);
    assert!(server.machine.power_levels().is_some());
}

#[test]
fn a_new_room_that_has_grown_large_asks_for_what_it_has_forgotten() {
    let mut server = Server::with_room(RoomVersionId::V12);
    let note =
        |n: usize| state("alice", "org.example.big", &n.to_string(), &json!({"padding": "x".repeat(5000)}));
    for n in 0..100 {
        server.propose(note(n)).unwrap();
    }
    server.commit();
    assert_eq!(server.machine.needs(&note(0)).last(), Some(&StateKey::new("org.example.big", "0")));
    let replaced = server.send(note(0)).change.unwrap().replaced;
    assert!(replaced.is_some());
}

#[test]
fn a_commit_of_an_older_change_does_not_release_a_newer_one() {
    let mut server = Server::with_room(RoomVersionId::V12);
    server.reload();
    let topic = |text: &str| state("alice", "m.room.topic", "", &json!({"topic": text}));
    let first = server.send(topic("a"));
    let second = server.send(topic("b"));
    server.machine.committed(first.order_key);
    for n in 0..600 {
        server.machine.supply(StateKey::new("org.example", &n.to_string()), None);
    }
    server.machine.committed(first.order_key);
    let current = server.machine.current(&StateKey::new("m.room.topic", "")).flatten();
    assert_eq!(current.map(StateEvent::pdu), Some(&second.pdu));
}

#[test]
fn this_server_signs_only_for_its_own_users() {
    let mut server = Server::with_room(RoomVersionId::V12);
    let mut foreign = message("alice");
    foreign.sender = UserId::parse("@eve:y").unwrap();
    assert!(matches!(server.propose(foreign), Err(Refusal::SenderElsewhere { .. })));
    server.send(state("alice", key::JOIN_RULES, "", &json!({"join_rule": "restricted"})));
    let vouched = |voucher: &str| {
        let content = json!({"membership": "join", "join_authorised_via_users_server": voucher});
        state("bob", key::MEMBER, "@bob:x", &content)
    };
    assert!(matches!(server.propose(vouched("@eve:y")), Err(Refusal::VoucherElsewhere { .. })));
    server.propose(vouched("@alice:x")).unwrap();
}

#[test]
fn an_event_bears_the_time_given_or_the_one_asked_for() {
    let mut server = Server::with_room(RoomVersionId::V12);
    server.now = 5000;
    assert_eq!(server.send(message("alice")).pdu.origin_server_ts(), 5001);
    let mut old = message("alice");
    old.origin_server_ts = Some(77);
    assert_eq!(server.send(old).pdu.origin_server_ts(), 77);
}
