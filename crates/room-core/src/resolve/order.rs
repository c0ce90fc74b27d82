//! The two orders in which conflicted events are judged again.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use super::{Arena, EventIdx, conflict::Marks};
use crate::{
    auth::SupportedRules,
    event::Event,
    key,
    power::{Level, PowerLevels},
};

/// Splits the full conflicted set: power events with those of their auth chains that are in the set as well, and the
/// rest.
///
/// Auth chains are followed within the set only, as other servers do it. From version 2.1 of the algorithm on this makes
/// no difference, as the set then contains all events between two of its events.
pub(super) fn split_power_events(arena: &Arena, full: &[EventIdx]) -> (Vec<EventIdx>, Vec<EventIdx>) {
    let mut in_full = Marks::new(arena);
    for idx in full {
        in_full.mark(*idx);
    }
    let is_power = |idx: &EventIdx| arena.body(*idx).is_some_and(|body| body.event.is_power_event());
    let mut stack: Vec<EventIdx> = full.iter().copied().filter(is_power).collect();
    let mut chosen = Marks::new(arena);
    for idx in &stack {
        chosen.mark(*idx);
    }
    while let Some(idx) = stack.pop() {
        let within = |auth: &EventIdx| in_full.has(*auth) && chosen.mark(*auth);
        stack.extend(arena.auth(idx).iter().copied().filter(within));
    }
    full.iter().copied().partition(|idx| chosen.has(*idx))
}

/// Reverse topological power ordering: earliest first, and among events that are free to come next, the one whose sender
/// has most power, then the oldest, then the one with the smallest id.
pub(super) fn by_power(rules: SupportedRules, arena: &Arena, events: &[EventIdx]) -> Vec<EventIdx> {
    let chosen: BTreeSet<EventIdx> = events.iter().copied().collect();
    let mut waits_for: BTreeMap<EventIdx, usize> = BTreeMap::new();
    let mut cited_by: BTreeMap<EventIdx, Vec<EventIdx>> = BTreeMap::new();
    for &idx in &chosen {
        let within: BTreeSet<EventIdx> =
            arena.auth(idx).iter().copied().filter(|auth| chosen.contains(auth)).collect();
        waits_for.insert(idx, within.len());
        for auth in within {
            cited_by.entry(auth).or_default().push(idx);
        }
    }

    let rank = |idx: EventIdx| {
        let event = &arena.body(idx)?.event;
        let level = sender_level(rules, arena, idx, event);
        Some(Reverse((Reverse(level), event.origin_server_ts, &*event.event_id, idx)))
    };
    let free = waits_for.iter().filter(|(_, count)| **count == 0).map(|(idx, _)| *idx);
    let mut heap: BinaryHeap<_> = free.filter_map(rank).collect();
    let mut sorted = Vec::with_capacity(chosen.len());
    while let Some(Reverse((_, _, _, idx))) = heap.pop() {
        sorted.push(idx);
        for &citing in cited_by.get(&idx).map(Vec::as_slice).unwrap_or_default() {
            if let Some(count) = waits_for.get_mut(&citing) {
                *count -= 1;
                if *count == 0 {
                    heap.extend(rank(citing));
                }
            }
        }
    }
    sorted
}

/// The power of an event's sender, by the auth events of that event.
fn sender_level(rules: SupportedRules, arena: &Arena, idx: EventIdx, event: &Event) -> Level {
    let cited = |event_type: &str| {
        let mut bodies = arena.auth(idx).iter().filter_map(|auth| arena.body(*auth));
        bodies.find(|body| body.event.is(event_type, "")).map(|body| &body.event)
    };
    let power_levels = cited(key::POWER_LEVELS);
    let named = arena.create().and_then(|create| arena.body(create)).map(|body| &body.event);
    match named.or_else(|| cited(key::CREATE)) {
        Some(create) => PowerLevels::new(&rules.get().auth, create, power_levels).user_level(&event.sender),
        // Only the create event itself cites none; where there is nothing to compare with, its level does not matter.
        None => Level::Of(0),
    }
}

/// Mainline ordering: by the power levels that an event is based on, oldest first, then by age, then by id.
///
/// `Err` names events whose headers are missing.
pub(super) fn by_mainline(
    arena: &Arena,
    events: &[EventIdx],
    power_levels: Option<EventIdx>,
) -> Result<Vec<EventIdx>, Vec<EventIdx>> {
    let mainline = Mainline::of(arena, power_levels)?;
    let mut known = BTreeMap::new();
    let mut ranked = Vec::with_capacity(events.len());
    for &idx in events {
        let Some(body) = arena.body(idx) else { continue };
        let position = mainline.position(arena, idx, &mut known)?;
        ranked.push((Reverse(position), body.event.origin_server_ts, &*body.event.event_id, idx));
    }
    ranked.sort_unstable();
    Ok(ranked.into_iter().map(|(_, _, _, idx)| idx).collect())
}

/// Where on the mainline an event is based: 0 is the newest. Not on it comes before everything that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Position {
    On(usize),
    Off,
}

/// A `m.room.power_levels` event, the one in its auth events, and so on.
struct Mainline(BTreeMap<EventIdx, usize>);

impl Mainline {
    fn of(arena: &Arena, power_levels: Option<EventIdx>) -> Result<Self, Vec<EventIdx>> {
        let mut positions = BTreeMap::new();
        let mut next = power_levels;
        while let Some(idx) = next
            && !positions.contains_key(&idx)
        {
            positions.insert(idx, positions.len());
            next = parent(arena, idx)?;
        }
        Ok(Self(positions))
    }

    /// The position of an event. `known` remembers that of power levels met before, so that each is visited once.
    fn position(
        &self,
        arena: &Arena,
        of: EventIdx,
        known: &mut BTreeMap<EventIdx, Position>,
    ) -> Result<Position, Vec<EventIdx>> {
        let mut passed = Vec::new();
        let mut found = Position::Off;
        let mut next = parent(arena, of)?;
        while let Some(idx) = next {
            if let Some(&position) = self.0.get(&idx) {
                found = Position::On(position);
                break;
            }
            if let Some(&position) = known.get(&idx) {
                found = position;
                break;
            }
            // Taken back below; until then it ends the walk, should auth events ever form a circle.
            known.insert(idx, Position::Off);
            passed.push(idx);
            next = parent(arena, idx)?;
        }
        known.extend(passed.into_iter().map(|idx| (idx, found)));
        Ok(found)
    }
}

/// The `m.room.power_levels` event among the auth events of an event.
fn parent(arena: &Arena, idx: EventIdx) -> Result<Option<EventIdx>, Vec<EventIdx>> {
    let Some(header) = arena.header(idx) else { return Err(vec![idx]) };
    let Some(key) = arena.find_key(key::POWER_LEVELS, "") else { return Ok(None) };
    Ok(header.auth.iter().copied().find(|auth| arena.key_of(*auth) == Some(key)))
}
