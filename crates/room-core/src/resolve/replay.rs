//! Iterative auth checks: a state grown by judging events one after the other.

use myelin_pdu::StateResolution;

use super::{Arena, EventIdx, StateMap, conflict::Conflict};
use crate::{
    auth::{Standing, SupportedRules, check_state},
    event::Event,
};

/// Judges the events in this order, and adds to the state those that pass.
///
/// An entry that the state does not have is taken from the event's own auth events, unless they were rejected. An event
/// that was itself rejected is judged like any other.
pub(super) fn replay(
    rules: SupportedRules,
    arena: &Arena,
    events: &[EventIdx],
    mut state: StateMap,
) -> StateMap {
    for &idx in events {
        let (Some(body), Some(key)) = (arena.body(idx), arena.key_of(idx)) else { continue };
        let cited = arena.create().into_iter().chain(arena.auth(idx).iter().copied());
        let current = body.judged_by.iter().filter_map(|key| state.get(key).copied());
        // Later events of the list win over earlier ones: the state over what is cited.
        let view: Vec<&Event> = cited.chain(current).filter_map(|idx| accepted(arena, idx)).collect();
        if check_state(rules, &body.event, view.as_slice()).is_ok() {
            state.insert(key, idx);
        }
    }
    state
}

fn accepted(arena: &Arena, idx: EventIdx) -> Option<&Event> {
    arena.body(idx).filter(|body| body.standing == Standing::Accepted).map(|body| &body.event)
}

/// The whole events that judging the conflicted ones will look at and that are not there yet.
pub(super) fn missing_bodies(
    algorithm: StateResolution,
    arena: &Arena,
    conflict: &Conflict,
) -> Vec<EventIdx> {
    let mut missing: Vec<EventIdx> = arena.create().into_iter().collect();
    for &idx in &conflict.full {
        missing.push(idx);
        missing.extend(arena.auth(idx));
        let Some(body) = arena.body(idx) else { continue };
        if algorithm != StateResolution::V2_1 {
            missing.extend(body.judged_by.iter().filter_map(|key| conflict.unconflicted.get(key)));
        }
    }
    missing.retain(|idx| arena.lacks_body(*idx));
    missing.sort_unstable();
    missing.dedup();
    missing
}
