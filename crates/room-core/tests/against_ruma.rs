//! The same rooms resolved and judged here and by ruma's state resolution: two implementations that share no code must
//! agree on every random room.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use myelin_room_core::{
    auth::Standing,
    key::{self, StateKey},
};
use proptest::prelude::*;
use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UInt,
    UserId,
    events::{StateEventType, TimelineEventType},
    state_res::{self, utils::event_id_set::EventIdSet},
};
use serde_json::value::RawValue;
use support::{
    ROOM_ID, State, World,
    random::{self, Recipe, recipe},
};

/// One of our events, as ruma sees it.
#[derive(Clone)]
struct RumaEvent {
    id: OwnedEventId,
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    ts: MilliSecondsSinceUnixEpoch,
    event_type: TimelineEventType,
    content: Box<RawValue>,
    state_key: Option<String>,
    prev: Vec<OwnedEventId>,
    auth: Vec<OwnedEventId>,
    redacts: Option<OwnedEventId>,
    rejected: bool,
}

impl state_res::Event for RumaEvent {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.id
    }
    fn room_id(&self) -> Option<&RoomId> {
        self.room_id.as_deref()
    }
    fn sender(&self) -> &UserId {
        &self.sender
    }
    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.ts
    }
    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }
    fn content(&self) -> &RawValue {
        &self.content
    }
    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }
    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.prev.iter())
    }
    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.auth.iter())
    }
    fn redacts(&self) -> Option<&OwnedEventId> {
        self.redacts.as_ref()
    }
    fn rejected(&self) -> bool {
        self.rejected
    }
}

type RumaState = state_res::StateMap<OwnedEventId>;

struct Ruma {
    rules: ruma::room_version_rules::RoomVersionRules,
    events: HashMap<OwnedEventId, RumaEvent>,
}

fn ids(ids: &[Box<str>]) -> Vec<OwnedEventId> {
    ids.iter().map(|id| EventId::parse(&**id).unwrap()).collect()
}

fn ruma_key(key: &StateKey) -> (StateEventType, String) {
    (key.event_type.as_str().into(), key.state_key.to_string())
}

impl Ruma {
    fn of(world: &World) -> Self {
        let events = world.sent.values().map(|sent| {
            let event = &sent.event;
            let copy = RumaEvent {
                id: EventId::parse(&*event.event_id).unwrap(),
                room_id: event.room_id.as_deref().map(|_| RoomId::parse(ROOM_ID).unwrap()),
                sender: UserId::parse(&*event.sender).unwrap(),
                ts: MilliSecondsSinceUnixEpoch(UInt::try_from(event.origin_server_ts).unwrap()),
                event_type: event.event_type.as_str().into(),
                content: RawValue::from_string(sent.content.to_string()).unwrap(),
                state_key: event.state_key.as_deref().map(Into::into),
                prev: ids(&event.prev_events),
                auth: ids(&event.auth_events),
                redacts: event.redacts.as_deref().map(|id| EventId::parse(id).unwrap()),
                rejected: sent.standing == Standing::Rejected,
            };
            (copy.id.clone(), copy)
        });
        let version: RoomVersionId = world.rules.version.as_str().try_into().unwrap();
        Self { rules: version.rules().unwrap(), events: events.collect() }
    }

    fn state(state: &State) -> RumaState {
        state.iter().map(|(key, id)| (ruma_key(key), EventId::parse(id.as_str()).unwrap())).collect()
    }

    /// The auth events of these events, theirs, and so on.
    fn chain(&self, from: impl Iterator<Item = OwnedEventId>) -> BTreeSet<OwnedEventId> {
        let mut chain = BTreeSet::new();
        let mut stack: Vec<OwnedEventId> = from.collect();
        while let Some(id) = stack.pop() {
            stack.extend(self.events[&id].auth.iter().filter(|auth| chain.insert((*auth).clone())).cloned());
        }
        chain
    }

    /// By definition: what is on the chain of one conflicted event and has another on its own.
    fn subgraph(&self, conflicted: &BTreeSet<OwnedEventId>) -> EventIdSet<OwnedEventId> {
        let above = self.chain(conflicted.iter().cloned());
        let between = above.into_iter().filter(|id| {
            conflicted.contains(id) || !self.chain([id.clone()].into_iter()).is_disjoint(conflicted)
        });
        between.chain(conflicted.iter().cloned()).collect()
    }

    fn resolve(&self, states: &[State]) -> RumaState {
        let states: Vec<RumaState> = states.iter().map(Self::state).collect();
        let chains =
            states.iter().map(|state| self.chain(state.values().cloned()).into_iter().collect()).collect();
        state_res::resolve(
            &self.rules.authorization,
            self.rules.state_res.v2_rules().unwrap(),
            states.iter(),
            chains,
            |id| self.events.get(id).cloned(),
            |conflicted| Some(self.subgraph(&conflicted.values().flatten().cloned().collect())),
        )
        .unwrap()
    }

    fn allows(&self, event: &OwnedEventId, state: &State) -> Result<(), String> {
        let state = Self::state(state);
        state_res::check_state_dependent_auth_rules(
            &self.rules.authorization,
            &self.events[event],
            |kind, key| state.get(&(kind.clone(), key.to_owned())).map(|id| &self.events[id]),
        )
    }
}

fn check_resolution(recipe: &Recipe) {
    let (world, states) = recipe.cook();
    let ruma = Ruma::of(&world);
    let ours: HashMap<_, _> = Ruma::state(&world.resolve_interning(&states, &[]));
    let theirs = ruma.resolve(&states);
    let (ours, theirs): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (ours.into_iter().collect(), theirs.into_iter().collect());
    let room = || {
        let line = |sent: &support::Sent| {
            let event = &sent.event;
            let (by, prev, auth) = (&event.sender, &event.prev_events, &event.auth_events);
            let (ts, content, standing) = (event.origin_server_ts, &sent.content, sent.standing);
            format!("{event:?} by {by} at {ts}: {content} {standing:?}, prev {prev:?}, auth {auth:?}\n")
        };
        world.sent.values().map(line).collect::<String>()
    };
    assert_eq!(ours, theirs, "resolving {states:#?} of\n{}", room());
}

/// Judges every event against every state of the room; returns how many verdicts were compared.
fn check_verdicts(recipe: &Recipe) -> usize {
    let (world, mut states) = recipe.cook();
    let ruma = Ruma::of(&world);
    states.extend(world.sent.values().map(|sent| sent.state_after.clone()));
    // ruma wants join rules where the room has none; here as in Synapse, the room is then invite-only.
    states.retain(|state| state.contains_key(&StateKey::new(key::JOIN_RULES, "")));
    let mut compared = 0;
    for sent in world.sent.values().filter(|sent| sent.event.event_type.as_str() != key::CREATE) {
        for state in &states {
            let ours = world.check(&sent.event, state);
            let theirs = ruma.allows(&EventId::parse(&*sent.event.event_id).unwrap(), state);
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}: {ours:?}, but ruma: {theirs:?}", sent.event);
            compared += 1;
        }
    }
    compared
}

/// One differential test for each room version.
macro_rules! versions {
    ($cases:literal, $check:ident, $($name:ident = $version:literal),* $(,)?) => {
        proptest! {
            #![proptest_config(random::cases($cases))]
            $(#[test]
            fn $name(recipe in recipe($version)) {
                $check(&recipe);
            })*
        }
    };
}

// Versions that bring no new rule of their own (4, 5 and 9) share the others' cases.
versions! {
    100, check_resolution,
    random_rooms_resolve_to_the_same_state_in_version_2 = "2",
    random_rooms_resolve_to_the_same_state_in_version_3 = "3",
    random_rooms_resolve_to_the_same_state_in_version_6 = "6",
    random_rooms_resolve_to_the_same_state_in_version_7 = "7",
    random_rooms_resolve_to_the_same_state_in_version_8 = "8",
    random_rooms_resolve_to_the_same_state_in_version_10 = "10",
}

versions! {
    400, check_resolution,
    random_rooms_resolve_to_the_same_state_in_version_11 = "11",
    random_rooms_resolve_to_the_same_state_in_version_12 = "12",
}

versions! {
    48, check_verdicts,
    random_events_are_judged_alike_in_version_2 = "2",
    random_events_are_judged_alike_in_version_3 = "3",
    random_events_are_judged_alike_in_version_4 = "4",
    random_events_are_judged_alike_in_version_5 = "5",
    random_events_are_judged_alike_in_version_6 = "6",
    random_events_are_judged_alike_in_version_7 = "7",
    random_events_are_judged_alike_in_version_8 = "8",
    random_events_are_judged_alike_in_version_9 = "9",
    random_events_are_judged_alike_in_version_10 = "10",
    random_events_are_judged_alike_in_version_11 = "11",
    random_events_are_judged_alike_in_version_12 = "12",
}
