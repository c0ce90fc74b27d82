//! What states agree on, and which events have to be judged again.

use myelin_pdu::StateResolution;

use super::{Arena, EventIdx, StateMap};

/// Several states, taken apart.
#[derive(Debug)]
pub(super) struct Conflict {
    /// The entries that all states have in common.
    pub(super) unconflicted: StateMap,
    /// The full conflicted set, ascending. Empty where all states are the same.
    pub(super) full: Vec<EventIdx>,
}

impl Conflict {
    /// Takes the states apart. `Err` names events whose headers are missing.
    pub(super) fn of(
        algorithm: StateResolution,
        arena: &Arena,
        states: &[StateMap],
    ) -> Result<Self, Vec<EventIdx>> {
        let (unconflicted, conflicted) = split(states);
        if conflicted.iter().all(Vec::is_empty) {
            return Ok(Self { unconflicted, full: Vec::new() });
        }
        let all_events = states.iter().flat_map(|state| state.values().copied());
        let unknown = arena.unknown_ancestors(all_events);
        if !unknown.is_empty() {
            return Err(unknown);
        }

        let mut full = auth_difference(arena, &unconflicted, &conflicted);
        let mut conflicted: Vec<EventIdx> = conflicted.into_iter().flatten().collect();
        conflicted.sort_unstable();
        conflicted.dedup();
        if algorithm == StateResolution::V2_1 {
            full.extend(subgraph(arena, &conflicted));
        }
        full.extend(conflicted);
        full.sort_unstable();
        full.dedup();
        // Events that cannot be had cannot be judged.
        full.retain(|idx| arena.key_of(*idx).is_some());
        Ok(Self { unconflicted, full })
    }
}

/// The unconflicted state map, and for each state, its events in the conflicted state set.
fn split(states: &[StateMap]) -> (StateMap, Vec<Vec<EventIdx>>) {
    let Some((first, others)) = states.split_first() else { return (StateMap::new(), Vec::new()) };
    let common = first.iter().filter(|(key, event)| others.iter().all(|state| state.get(key) == Some(event)));
    let unconflicted: StateMap = common.map(|(key, event)| (*key, *event)).collect();
    let conflicted = |state: &StateMap| {
        state.iter().filter(|(key, _)| !unconflicted.contains_key(key)).map(|(_, event)| *event).collect()
    };
    let conflicted = states.iter().map(conflicted).collect();
    (unconflicted, conflicted)
}

/// The events that are on the auth chains of some states, but not of all.
///
/// The chains of unconflicted events are on those of every state. They are walked once, and left out when the chains of
/// each state's conflicted events are walked: the cost is that of the room plus that of the conflict, not of the room
/// for each state.
fn auth_difference(arena: &Arena, unconflicted: &StateMap, conflicted: &[Vec<EventIdx>]) -> Vec<EventIdx> {
    let mut shared = Marks::new(arena);
    walk(arena, unconflicted.values().copied(), |idx| shared.mark(idx));

    let mut chains_with = vec![0_usize; arena.len()];
    let mut reached = Vec::new();
    for events in conflicted {
        let mut seen = Marks::new(arena);
        walk(arena, events.iter().copied(), |idx| {
            let new = !shared.has(idx) && seen.mark(idx);
            if new && let Some(count) = chains_with.get_mut(idx.at()) {
                *count += 1;
                if *count == 1 {
                    reached.push(idx);
                }
            }
            new
        });
    }
    reached.retain(|idx| chains_with.get(idx.at()).is_some_and(|count| *count < conflicted.len()));
    reached
}

/// The events on paths of auth events from one event of the conflicted state set to another (MSC4297).
fn subgraph(arena: &Arena, conflicted: &[EventIdx]) -> Vec<EventIdx> {
    let mut above = Marks::new(arena);
    let mut reached = Vec::new();
    walk(arena, conflicted.iter().copied(), |idx| {
        let new = above.mark(idx);
        if new {
            reached.push(idx);
        }
        new
    });

    // Turn the edges among the ancestors and the conflicted events round, and walk down from the conflicted events.
    let mut cited_by: Vec<Vec<EventIdx>> = vec![Vec::new(); arena.len()];
    let only_starts = conflicted.iter().copied().filter(|idx| !above.has(*idx));
    for citing in reached.iter().copied().chain(only_starts) {
        for cited in arena.auth(citing) {
            if let Some(list) = cited_by.get_mut(cited.at()) {
                list.push(citing);
            }
        }
    }
    let mut below = Marks::new(arena);
    let mut stack: Vec<EventIdx> = conflicted.to_vec();
    while let Some(idx) = stack.pop() {
        let citing = cited_by.get(idx.at()).map(Vec::as_slice).unwrap_or_default();
        stack.extend(citing.iter().copied().filter(|idx| below.mark(*idx)));
    }
    reached.retain(|idx| below.has(*idx));
    reached
}

/// Visits the auth chains of these events (not the events themselves). `enter` is asked at each event on the way whether
/// to go on from there, and must say no the second time.
fn walk(arena: &Arena, from: impl Iterator<Item = EventIdx>, mut enter: impl FnMut(EventIdx) -> bool) {
    let mut stack = Vec::new();
    for start in from {
        stack.push(start);
        while let Some(idx) = stack.pop() {
            stack.extend(arena.auth(idx).iter().copied().filter(|idx| enter(*idx)));
        }
    }
}

/// A set of events of an arena.
pub(super) struct Marks(Vec<bool>);

impl Marks {
    pub(super) fn new(arena: &Arena) -> Self {
        Self(vec![false; arena.len()])
    }

    /// Adds the event; tells whether it was new.
    pub(super) fn mark(&mut self, idx: EventIdx) -> bool {
        self.0.get_mut(idx.at()).is_some_and(|mark| !std::mem::replace(mark, true))
    }

    pub(super) fn has(&self, idx: EventIdx) -> bool {
        self.0.get(idx.at()).copied().unwrap_or(false)
    }
}
