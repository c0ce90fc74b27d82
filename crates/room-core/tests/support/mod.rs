//! A room as a graph of events, for tests: it works out auth events and states the way a server would.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of this")]

pub mod random;

use std::collections::BTreeMap;

use myelin_pdu::{CanonicalObject, RoomRules, RoomVersionId};
use myelin_room_core::{
    auth::{Rejection, Standing, StateView, SupportedRules, auth_keys, check_state},
    content::Content,
    event::{Event, EventFields},
    key::{self, EventType, StateKey},
    resolve::{self, Arena, ResolveError, StateMap},
};
use serde_json::Value;

pub const ROOM_ID: &str = "!create:x";
pub const CREATE_ID: &str = "$create:x";

/// A state: which event stands in which entry.
pub type State = BTreeMap<StateKey, String>;

/// An event to be sent.
pub struct Draft<'a> {
    pub id: &'a str,
    pub prev: Vec<String>,
    pub sender: &'a str,
    pub event_type: &'a str,
    pub state_key: Option<&'a str>,
    pub content: Value,
    pub redacts: Option<String>,
    pub ts: i64,
}

/// An event that was sent, and the state after it.
#[derive(Clone)]
pub struct Sent {
    pub event: Event,
    pub content: Value,
    pub standing: Standing,
    pub state_after: State,
}

/// What a resolution asked for.
#[derive(Default)]
pub struct Cost {
    /// How often it asked.
    pub rounds: usize,
    /// How many whole events.
    pub bodies: usize,
}

pub struct World {
    pub rules: SupportedRules,
    pub sent: BTreeMap<String, Sent>,
}

struct View<'a>(&'a World, &'a State);

impl StateView for View<'_> {
    fn state(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        let id = self.1.get(&StateKey::new(event_type, state_key))?;
        Some(&self.0.sent[id].event)
    }
}

pub fn version(name: &str) -> &'static RoomRules {
    name.parse::<RoomVersionId>().unwrap().rules()
}

impl World {
    pub fn new(room_version: &str) -> Self {
        Self { rules: SupportedRules::new(version(room_version)).unwrap(), sent: BTreeMap::new() }
    }

    /// Makes the event on top of its `prev` events, as a server would, and judges it against the state there.
    pub fn send(&mut self, draft: Draft<'_>) -> Result<(), Rejection> {
        let states: Vec<State> = draft.prev.iter().map(|id| self.sent[id].state_after.clone()).collect();
        let before = self.resolve(&states);
        let event = self.event(&draft, &before);
        check_state(self.rules, &event, &View(self, &before))?;
        self.add(event, draft.content, before, Standing::Accepted);
        Ok(())
    }

    /// The event that a server makes of this draft in this state.
    pub fn event(&self, draft: &Draft<'_>, before: &State) -> Event {
        let auth = &self.rules.get().auth;
        let content = Content::parse(auth, draft.event_type, &object(&draft.content));
        let keys = auth_keys(auth, draft.event_type, draft.sender, draft.state_key, &content);
        let auth_events =
            keys.into_iter().filter_map(|key| before.get(&key.to_key())).map(|id| id.as_str().into());
        let makes_room_id = draft.event_type == key::CREATE && !auth.create_event_in_auth_events;
        Event::new(EventFields {
            event_id: draft.id.into(),
            room_id: (!makes_room_id).then(|| ROOM_ID.into()),
            sender: draft.sender.into(),
            event_type: EventType::from(draft.event_type),
            state_key: draft.state_key.map(Into::into),
            origin_server_ts: draft.ts,
            depth: 1,
            prev_events: draft.prev.iter().map(|id| id.as_str().into()).collect(),
            auth_events: auth_events.collect(),
            redacts: draft.redacts.as_deref().map(Into::into),
            content,
        })
    }

    /// Adds an event. One that this server rejected still stands in the state that follows, as on servers which did not.
    pub fn add(&mut self, event: Event, content: Value, mut state: State, standing: Standing) {
        if let Some(key) = event.key() {
            state.insert(key.to_key(), event.event_id.to_string());
        }
        self.sent.insert(event.event_id.to_string(), Sent { event, content, standing, state_after: state });
    }

    pub fn check(&self, event: &Event, state: &State) -> Result<(), Rejection> {
        check_state(self.rules, event, &View(self, state))
    }

    /// Resolves, loading what resolution asks for.
    pub fn resolve(&self, states: &[State]) -> State {
        if let [only] = states {
            return only.clone();
        }
        self.resolve_interning(states, &[])
    }

    /// Resolves with these events interned first, in this order.
    pub fn resolve_interning(&self, states: &[State], first: &[String]) -> State {
        self.resolve_counting(states, first).0
    }

    /// The same, and what it asked for.
    pub fn resolve_counting(&self, states: &[State], first: &[String]) -> (State, Cost) {
        let mut cost = Cost::default();
        let mut arena = Arena::new(self.rules, ROOM_ID, 100_000);
        for id in first {
            arena.intern(id).unwrap();
        }
        let intern = |arena: &mut Arena, state: &State| -> StateMap {
            let entries = state
                .iter()
                .map(|(key, id)| (arena.intern_key(key.as_ref()).unwrap(), arena.intern(id).unwrap()));
            entries.collect()
        };
        let maps: Vec<StateMap> = states.iter().map(|state| intern(&mut arena, state)).collect();
        for _ in 0..10_000 {
            match resolve::resolve(self.rules, &arena, &maps) {
                Ok(map) => {
                    let named = map.iter().map(|(key, event)| {
                        (arena.key(*key).unwrap().clone(), arena.event_id(*event).to_owned())
                    });
                    return (named.collect(), cost);
                }
                Err(ResolveError::Missing(missing)) => {
                    cost.rounds += 1;
                    cost.bodies += missing.bodies.len();
                    for idx in missing.headers {
                        let event = &self.sent[arena.event_id(idx)].event;
                        arena.set_header(idx, event.key(), event.auth_events.iter().map(|id| &**id)).unwrap();
                    }
                    for idx in missing.bodies {
                        let sent = &self.sent[arena.event_id(idx)];
                        arena.set_event(sent.event.clone(), sent.standing).unwrap();
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("resolution keeps asking")
    }
}

pub fn object(value: &Value) -> CanonicalObject {
    CanonicalObject::try_from(value.as_object().unwrap().clone()).unwrap()
}

/// `type/state_key → id`, for comparing with fixtures.
pub fn plain(state: &State) -> BTreeMap<String, String> {
    let name = |key: &StateKey| {
        format!("{}/{}", key.event_type.as_str().trim_start_matches("m.room."), key.state_key)
    };
    state.iter().map(|(key, id)| (name(key), id.clone())).collect()
}
