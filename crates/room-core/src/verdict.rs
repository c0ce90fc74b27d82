//! What becomes of an event from another server
//! (<https://spec.matrix.org/v1.18/server-server-api/#checks-performed-on-receipt-of-a-pdu>, checks 4 to 6).
//!
//! Format, signatures and hashes were checked before, by `myelin-pdu`; a policy server is asked afterwards.

use myelin_pdu::RoomIdFormat;

use crate::{
    auth::{Rejection, Standing, StateView, SupportedRules, check_auth_events, check_state, judging_keys},
    event::Event,
    key::{self, StateKey},
};

/// What becomes of a received event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stands.
    Accept,
    /// It does not stand, nor does anything that only it allows. It may be part of the room's graph.
    Reject(Rejection),
    /// It stands where it stands, but the room has moved on: clients do not get it, and no new event follows it.
    SoftFail(Rejection),
    /// Something must be known first.
    Need(Need),
}

/// What must be known before an event can be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// These events, which it cites as `auth_events`, or the create event that its room's id names.
    AuthEvents(Vec<Box<str>>),
    /// These entries of the state before it.
    StateBefore(Vec<StateKey>),
    /// These entries of the current state.
    CurrentState(Vec<StateKey>),
}

/// An entry of a state of which only a part may be known.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// The state has this event.
    Event(&'a Event),
    /// The state has no such entry.
    Absent,
    /// It is not known what the state has.
    Unknown,
}

/// A state of which only a part may be known.
pub trait PartialState {
    /// What is known of this entry.
    fn entry(&self, event_type: &str, state_key: &str) -> Entry<'_>;
}

/// Judges a received event: by its auth events, by the state before it, and by the current state.
///
/// `lookup` finds events by id, with what became of them. While the answer is [`Verdict::Need`], the caller fetches that
/// and asks again; each answer asks for all that its step needs.
pub fn receive<'e>(
    rules: SupportedRules,
    event: &Event,
    lookup: impl Fn(&str) -> Option<(&'e Event, Standing)>,
    before: &impl PartialState,
    current: &impl PartialState,
) -> Verdict {
    match check_by_auth_events(rules, event, lookup) {
        Ok(()) => {}
        Err(verdict) => return verdict,
    }
    match check_by_state(rules, event, before) {
        Checked::Allowed => {}
        Checked::Refused(rejection) => return Verdict::Reject(rejection),
        Checked::Unknown(keys) => return Verdict::Need(Need::StateBefore(keys)),
    }
    match check_by_state(rules, event, current) {
        Checked::Allowed => Verdict::Accept,
        Checked::Refused(rejection) => Verdict::SoftFail(rejection),
        Checked::Unknown(keys) => Verdict::Need(Need::CurrentState(keys)),
    }
}

fn check_by_auth_events<'e>(
    rules: SupportedRules,
    event: &Event,
    lookup: impl Fn(&str) -> Option<(&'e Event, Standing)>,
) -> Result<(), Verdict> {
    let create_id = create_event_id(rules, event);
    let create = create_id.as_deref().and_then(&lookup);
    let cited: Vec<_> = event.auth_events.iter().map(|id| (id, lookup(id))).collect();

    let mut missing: Vec<Box<str>> =
        cited.iter().filter(|(_, found)| found.is_none()).map(|(id, _)| (*id).clone()).collect();
    missing.extend(create_id.filter(|_| create.is_none()));
    if !missing.is_empty() {
        return Err(Verdict::Need(Need::AuthEvents(missing)));
    }
    let cited: Vec<(&Event, Standing)> = cited.into_iter().filter_map(|(_, found)| found).collect();
    check_auth_events(rules, event, create, &cited).map_err(Verdict::Reject)?;
    let state: Vec<&Event> = create.into_iter().chain(cited).map(|(event, _)| event).collect();
    check_state(rules, event, state.as_slice()).map_err(Verdict::Reject)
}

/// The id of the create event, where the room's id says it.
fn create_event_id(rules: SupportedRules, event: &Event) -> Option<Box<str>> {
    if rules.room_id_format != RoomIdFormat::CreateEventHash || event.event_type.as_str() == key::CREATE {
        return None;
    }
    let hash = event.room_id.as_deref()?.strip_prefix('!')?;
    Some(format!("${hash}").into())
}

enum Checked {
    Allowed,
    Refused(Rejection),
    Unknown(Vec<StateKey>),
}

fn check_by_state(rules: SupportedRules, event: &Event, state: &impl PartialState) -> Checked {
    let (event_type, state_key) = (event.event_type.as_str(), event.state_key.as_deref());
    let keys = judging_keys(&rules.get().auth, event_type, &event.sender, state_key, &event.content);
    let unknown =
        keys.iter().filter(|key| matches!(state.entry(key.event_type, key.state_key), Entry::Unknown));
    let unknown: Vec<StateKey> = unknown.map(|key| key.to_key()).collect();
    if !unknown.is_empty() {
        return Checked::Unknown(unknown);
    }
    match check_state(rules, event, &Whole(state)) {
        Ok(()) => Checked::Allowed,
        Err(rejection) => Checked::Refused(rejection),
    }
}

/// A partial state of which all that matters is known.
struct Whole<'a, P>(&'a P);

impl<P: PartialState> StateView for Whole<'_, P> {
    fn state(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        if let Entry::Event(event) = self.0.entry(event_type, state_key) { Some(event) } else { None }
    }
}

#[cfg(test)]
mod tests;
