//! The part of a room's current state that its machine knows.

use std::collections::BTreeMap;

use super::StateEvent;
use crate::{
    auth::StateView,
    event::Event,
    key::{self, StateKey, StateKeyRef},
    order_key::OrderKey,
};

/// How many bytes of events are kept, besides what is planned and not committed, and the events that every draft needs.
const BUDGET: usize = 256 * 1024;

/// What an entry is reckoned to take besides the bytes of its event: key, header, parsed content.
const ENTRY_OVERHEAD: usize = 768;

/// Entries of the current state, the planned changes included.
#[derive(Debug)]
pub(super) struct StateCache {
    entries: BTreeMap<StateKey, Entry>,
    /// Whether the room has no entries but these, as it is while a new room is built up.
    complete: bool,
    /// The weight of what may be dropped.
    loose: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    event: Option<StateEvent>,
    /// The newest change that is not committed. Until it is, the store says something else, and the entry must stay.
    planned: Option<OrderKey>,
    last_used: u64,
}

impl StateCache {
    /// Of a room of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self { entries: BTreeMap::new(), complete: false, loose: 0, clock: 0 }
    }

    /// Of a room that has no state yet.
    pub(super) fn empty_room() -> Self {
        Self { complete: true, ..Self::unknown() }
    }

    pub(super) fn knows(&self, key: StateKeyRef<'_>) -> bool {
        self.complete || self.entries.contains_key(&key.to_key())
    }

    pub(super) fn get(&self, key: StateKeyRef<'_>) -> Option<&StateEvent> {
        self.entries.get(&key.to_key())?.event.as_ref()
    }

    /// Adds an entry of the committed state, unless there is one.
    pub(super) fn supply(&mut self, key: StateKey, event: Option<StateEvent>) {
        if self.knows(key.as_ref()) {
            return;
        }
        // Only where a driver supplies for many drafts before it proposes any: what one draft needs is far from this.
        if self.loose > 4 * BUDGET {
            self.trim();
        }
        self.insert(key, event, None);
    }

    /// Sets an entry that is planned at this place; returns the event it had.
    pub(super) fn plan(&mut self, key: StateKey, event: StateEvent, at: OrderKey) -> Option<StateEvent> {
        self.insert(key, Some(event), Some(at))
    }

    /// The change of this entry at this place is committed.
    pub(super) fn settle(&mut self, key: &StateKey, at: OrderKey) {
        if let Some(entry) = self.entries.get_mut(key)
            && entry.planned == Some(at)
        {
            entry.planned = None;
            self.loose += loose_weight(key, entry);
        }
    }

    /// Marks entries as used, so that others are dropped first.
    pub(super) fn touch<'k>(&mut self, keys: impl IntoIterator<Item = StateKeyRef<'k>>) {
        for key in keys {
            self.clock += 1;
            if let Some(entry) = self.entries.get_mut(&key.to_key()) {
                entry.last_used = self.clock;
            }
        }
    }

    /// Drops what was not used for longest, until the rest is well within the budget.
    pub(super) fn trim(&mut self) {
        if self.loose <= BUDGET {
            return;
        }
        let droppable = self.entries.iter().filter(|(key, entry)| loose_weight(key, entry) > 0);
        let mut by_age: Vec<(u64, StateKey)> =
            droppable.map(|(key, entry)| (entry.last_used, key.clone())).collect();
        by_age.sort_unstable();
        for (_, key) in by_age {
            // Well below the budget, so that the next events do not each come here.
            if self.loose <= BUDGET / 2 {
                break;
            }
            if let Some(entry) = self.entries.remove(&key) {
                self.loose = self.loose.saturating_sub(loose_weight(&key, &entry));
                self.complete = false;
            }
        }
    }

    fn insert(
        &mut self,
        key: StateKey,
        event: Option<StateEvent>,
        planned: Option<OrderKey>,
    ) -> Option<StateEvent> {
        self.clock += 1;
        let entry = Entry { event, planned, last_used: self.clock };
        self.loose += loose_weight(&key, &entry);
        let before = self.entries.get(&key).map_or(0, |before| loose_weight(&key, before));
        self.loose = self.loose.saturating_sub(before);
        self.entries.insert(key, entry)?.event
    }

    #[cfg(test)]
    pub(super) fn weight(&self) -> usize {
        self.entries.values().map(weight).sum()
    }
}

impl StateView for StateCache {
    fn state(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        self.get(StateKeyRef { event_type, state_key }).map(StateEvent::event)
    }
}

/// What every draft is judged by, and nearly every one cites.
fn is_core(key: &StateKey) -> bool {
    key.state_key.is_empty()
        && matches!(key.event_type.as_str(), key::CREATE | key::POWER_LEVELS | key::JOIN_RULES)
}

fn weight(entry: &Entry) -> usize {
    ENTRY_OVERHEAD + entry.event.as_ref().map_or(0, |event| event.pdu().raw().len())
}

/// The weight of an entry that may be dropped; 0 of one that must stay.
fn loose_weight(key: &StateKey, entry: &Entry) -> usize {
    if entry.planned.is_some() || is_core(key) { 0 } else { weight(entry) }
}
