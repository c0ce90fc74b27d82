use std::collections::BTreeMap;

use myelin_pdu::RoomVersionId;
use serde_json::json;

use super::*;
use crate::{auth::tests::event, event::EventFields};

/// Events by id, and what became of them.
type Known = BTreeMap<&'static str, (Event, Standing)>;

#[derive(Clone, Default)]
struct Part {
    entries: BTreeMap<StateKey, Event>,
    whole: bool,
}

impl PartialState for Part {
    fn entry(&self, event_type: &str, state_key: &str) -> Entry<'_> {
        match self.entries.get(&StateKey::new(event_type, state_key)) {
            Some(event) => Entry::Event(event),
            None if self.whole => Entry::Absent,
            None => Entry::Unknown,
        }
    }
}

fn rules() -> SupportedRules {
    SupportedRules::new(RoomVersionId::V12.rules()).unwrap()
}

fn named(id: &str, event: &Event, auth: &[&str]) -> Event {
    let fields = EventFields {
        event_id: id.into(),
        room_id: event.room_id.as_ref().map(|_| "!create".into()),
        auth_events: auth.iter().map(|id| (*id).into()).collect(),
        ..(**event).clone()
    };
    Event::new(fields)
}

/// A room of Alice, who created it, and Bob; and the message that Bob sends.
fn room() -> (Known, Part, Event) {
    let join = |user: &str| event(user, key::MEMBER, Some(user), &json!({"membership": "join"}));
    let events = [
        ("$create", event("@alice:x", key::CREATE, Some(""), &json!({"room_version": "12"})), &[][..]),
        ("$alice", join("@alice:x"), &[]),
        ("$levels", event("@alice:x", key::POWER_LEVELS, Some(""), &json!({})), &["$alice"]),
        ("$bob", join("@bob:y"), &["$levels"]),
    ];
    let known: Known =
        events.iter().map(|(id, event, auth)| (*id, (named(id, event, auth), Standing::Accepted))).collect();
    let entries = known.values().map(|(event, _)| (event.key().unwrap().to_key(), event.clone())).collect();
    let message =
        named("$message", &event("@bob:y", "m.room.message", None, &json!({})), &["$levels", "$bob"]);
    (known, Part { entries, whole: true }, message)
}

fn judge(known: &Known, before: &Part, current: &Part, event: &Event) -> Verdict {
    receive(rules(), event, |id| known.get(id).map(|(event, standing)| (event, *standing)), before, current)
}

fn with_ban(state: &Part) -> Part {
    let ban = event("@alice:x", key::MEMBER, Some("@bob:y"), &json!({"membership": "ban"}));
    let mut state = state.clone();
    state.entries.insert(StateKey::member("@bob:y"), ban);
    state
}

#[test]
fn an_event_that_every_state_allows_is_accepted() {
    let (known, state, message) = room();
    assert_eq!(judge(&known, &state, &state, &message), Verdict::Accept);
}

#[test]
fn an_event_that_the_room_has_moved_past_is_soft_failed() {
    let (known, state, message) = room();
    let verdict = judge(&known, &state, &with_ban(&state), &message);
    assert!(matches!(verdict, Verdict::SoftFail(Rejection::SenderNotJoined { .. })), "{verdict:?}");
}

#[test]
fn an_event_that_the_state_before_it_refuses_is_rejected_whatever_holds_now() {
    let (known, state, message) = room();
    let verdict = judge(&known, &with_ban(&state), &state, &message);
    assert!(matches!(verdict, Verdict::Reject(Rejection::SenderNotJoined { .. })), "{verdict:?}");
}

#[test]
fn an_event_that_its_own_auth_events_refuse_is_rejected() {
    let (known, state, message) = room();
    let alone = named("$message", &message, &["$levels"]);
    assert!(matches!(
        judge(&known, &state, &state, &alone),
        Verdict::Reject(Rejection::SenderNotJoined { .. })
    ));
    let wrong = named("$message", &message, &["$levels", "$bob", "$alice"]);
    assert!(matches!(
        judge(&known, &state, &state, &wrong),
        Verdict::Reject(Rejection::UnexpectedAuthEvent { .. })
    ));
}

#[test]
fn an_event_that_cites_a_rejected_one_is_rejected() {
    let (mut known, state, message) = room();
    known.get_mut("$bob").unwrap().1 = Standing::Rejected;
    assert!(matches!(
        judge(&known, &state, &state, &message),
        Verdict::Reject(Rejection::RejectedAuthEvent { .. })
    ));
}

#[test]
fn an_event_in_the_room_of_a_rejected_create_event_is_rejected() {
    let (mut known, state, message) = room();
    known.get_mut("$create").unwrap().1 = Standing::Rejected;
    let verdict = judge(&known, &state, &state, &message);
    assert!(matches!(verdict, Verdict::Reject(Rejection::RoomIdNamesNoCreateEvent { .. })), "{verdict:?}");
}

#[test]
fn all_missing_auth_events_are_asked_for_at_once_the_create_event_included() {
    let (mut known, state, message) = room();
    known.retain(|id, _| *id == "$levels");
    let verdict = judge(&known, &state, &state, &message);
    assert_eq!(verdict, Verdict::Need(Need::AuthEvents(vec!["$bob".into(), "$create".into()])));
}

#[test]
fn unknown_entries_are_asked_for_state_by_state() {
    let (known, state, message) = room();
    let nothing = Part::default();
    let all = vec![
        StateKey::new(key::POWER_LEVELS, ""),
        StateKey::member("@bob:y"),
        StateKey::new(key::CREATE, ""),
    ];
    assert_eq!(judge(&known, &nothing, &nothing, &message), Verdict::Need(Need::StateBefore(all.clone())));
    assert_eq!(judge(&known, &state, &nothing, &message), Verdict::Need(Need::CurrentState(all)));
    let mut part = state.clone();
    part.whole = false;
    part.entries.remove(&StateKey::member("@alice:x"));
    assert_eq!(judge(&known, &part, &part, &message), Verdict::Accept);
}

#[test]
fn a_create_event_is_judged_by_itself() {
    let (known, _, _) = room();
    let nothing = Part::default();
    assert_eq!(judge(&known, &nothing, &nothing, &known["$create"].0), Verdict::Accept);
}
