//! State resolution: which state holds where branches of a room's history meet.
//!
//! This is version 2 of the algorithm (room versions 2 to 11,
//! <https://spec.matrix.org/v1.18/rooms/v11/#state-resolution>) and version 2.1 (room version 12,
//! <https://spec.matrix.org/v1.18/rooms/v12/#state-resolution>, MSC4297). It runs over integers: an [`Arena`] interns the
//! events and keys of one room, and is dropped afterwards.
//!
//! No recursion, and every loop is bounded by the size of the arena, which its owner limits.
//!
//! Resolution asks for what it lacks instead of fetching it: [`resolve`] fails with [`ResolveError::Missing`], the driver
//! loads those events in bulk, and calls again. [`Arena::unknown_ancestors`] helps to load auth chains before.

mod arena;
mod conflict;
mod order;
mod replay;

use std::collections::BTreeMap;

use crate::{auth::SupportedRules, key};

pub use arena::{Arena, ArenaFull, EventIdx, KeyIdx};
use conflict::Conflict;
use myelin_pdu::StateResolution;

/// A state of a room, over interned ids.
pub type StateMap = BTreeMap<KeyIdx, EventIdx>;

/// The most states that are resolved at once. An event has 20 `prev_events` at most; a room may have more forward
/// extremities than that, but not many more.
pub const MAX_STATES: usize = 256;

/// Why states could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Events must be added to the arena first; see [`Missing`].
    #[error("{} headers and {} bodies of events are missing", .0.headers.len(), .0.bodies.len())]
    Missing(Missing),
    /// More than [`MAX_STATES`] states were given.
    #[error("{0} states are too many to resolve at once")]
    TooManyStates(usize),
}

/// What resolution lacks. Ascending and without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Events whose type, state key and auth events are needed: [`Arena::set_header`].
    pub headers: Vec<EventIdx>,
    /// Events that are needed whole: [`Arena::set_event`].
    pub bodies: Vec<EventIdx>,
}

/// Resolves these states into one, with the algorithm of the room version.
///
/// The result depends on the set of states only: not on their order, nor on the order in which events were interned.
///
/// # Errors
/// [`ResolveError`]: events are missing from the arena, or there are too many states.
pub fn resolve(rules: SupportedRules, arena: &Arena, states: &[StateMap]) -> Result<StateMap, ResolveError> {
    if states.len() > MAX_STATES {
        return Err(ResolveError::TooManyStates(states.len()));
    }
    let algorithm = rules.state_resolution;
    let conflict = Conflict::of(algorithm, arena, states).map_err(missing_headers)?;
    if conflict.full.is_empty() {
        return Ok(conflict.unconflicted);
    }
    let bodies = replay::missing_bodies(algorithm, arena, &conflict);
    if !bodies.is_empty() {
        return Err(ResolveError::Missing(Missing { headers: Vec::new(), bodies }));
    }

    let (power_events, rest) = order::split_power_events(arena, &conflict.full);
    let sorted_power_events = order::by_power(rules, arena, &power_events);
    let base = match algorithm {
        StateResolution::V2_1 => StateMap::new(),
        StateResolution::V1 | StateResolution::V2 => conflict.unconflicted.clone(),
    };
    let partial = replay::replay(rules, arena, &sorted_power_events, base);

    let power_levels = arena.find_key(key::POWER_LEVELS, "").and_then(|key| partial.get(&key)).copied();
    let sorted_rest = order::by_mainline(arena, &rest, power_levels).map_err(missing_headers)?;
    let mut resolved = replay::replay(rules, arena, &sorted_rest, partial);

    resolved.extend(conflict.unconflicted);
    Ok(resolved)
}

fn missing_headers(headers: Vec<EventIdx>) -> ResolveError {
    ResolveError::Missing(Missing { headers, bodies: Vec::new() })
}
