//! The live head of one room: where new events are planned, one on top of the other, before the first is committed.
//!
//! A driver's task owns the machine. For each draft it asks [`RoomMachine::needs`], reads those entries of the current
//! state from the store, hands them to [`RoomMachine::supply`], and lets [`RoomMachine::propose`] make the event. It then
//! commits what was planned, in order, and tells [`RoomMachine::committed`]. Meanwhile further drafts are planned on the
//! head that is not committed yet.
//!
//! When a commit fails, everything planned since is void: the driver drops the machine and loads a new one.
//!
//! The machine holds a bounded part of the current state, never all of it: a message costs the same in a room of ten
//! members as in one of ten thousand.

mod cache;
mod draft;

use std::collections::VecDeque;

use myelin_pdu::{EventReference, Pdu, Sha256Hash, SigningKey, limits::MAX_PREV_EVENTS};
use ruma::{OwnedEventId, OwnedRoomId, RoomId, ServerName};

use crate::{
    auth::{StateView, SupportedRules, check_auth_events, check_state},
    content::AuthorisedVia,
    event::Event,
    key::{self, StateKey, StateKeyRef},
    membership::{ByTarget, Membership, MembershipChange},
    order_key::OrderKey,
    power::PowerLevels,
    user_id,
};

use cache::StateCache;
use draft::Prepared;
pub use draft::{Draft, Refusal, StateEvent};

/// The most events that may be planned and not yet committed.
pub const MAX_IN_FLIGHT: usize = 1024;

/// An event that no event known to this server follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extremity {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its depth.
    pub depth: i64,
    /// Its reference hash, where events are referred to by id and hash (room versions 1 and 2).
    pub reference_hash: Option<Sha256Hash>,
}

impl From<&Pdu> for Extremity {
    fn from(pdu: &Pdu) -> Self {
        let EventReference { event_id, reference_hash } = EventReference::from(pdu);
        Self { event_id, depth: pdu.depth(), reference_hash }
    }
}

/// What is stored about the head of a room.
#[derive(Clone, Debug)]
pub struct Head {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Its forward extremities. Rejected and soft-failed events are none.
    pub extremities: Vec<Extremity>,
    /// The place of its newest event.
    pub newest: OrderKey,
}

/// The name and key that this server signs with.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    /// This server.
    pub server_name: &'a ServerName,
    /// Its key.
    pub key: &'a SigningKey,
}

/// An event that may be committed, once everything planned before it is.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The event, hashed and signed. Its `prev_events` are forward extremities no longer; it is one now.
    pub pdu: Pdu,
    /// The same, as the rules see it.
    pub event: Event,
    /// Its place in the timeline: the newest.
    pub order_key: OrderKey,
    /// What it changes in the current state, if it is a state event.
    pub change: Option<StateChange>,
}

/// A change of one entry of the current state.
#[derive(Clone, Debug)]
pub struct StateChange {
    /// The entry.
    pub key: StateKey,
    /// The event that stood there.
    pub replaced: Option<StateEvent>,
}

impl Planned {
    /// What the event does to a user's membership; `None` if it is no membership event.
    pub fn membership_change(&self) -> Option<MembershipChange> {
        let after = self.event.as_member()?.membership.as_ref()?;
        let change = self.change.as_ref()?;
        let before = change.replaced.as_ref().and_then(StateEvent::membership);
        MembershipChange::of(before, after, ByTarget::of(&self.event.sender, &change.key.state_key))
    }
}

/// The live head of one room. See the [module](self).
#[derive(Debug)]
pub struct RoomMachine {
    rules: SupportedRules,
    room_id: OwnedRoomId,
    extremities: Vec<Extremity>,
    newest: OrderKey,
    state: StateCache,
    in_flight: VecDeque<(OrderKey, Option<StateKey>)>,
}

impl RoomMachine {
    /// The machine of a room that exists, knowing nothing of its state yet.
    pub fn load(rules: SupportedRules, head: Head) -> Self {
        let Head { room_id, extremities, newest } = head;
        Self { rules, room_id, extremities, newest, state: StateCache::unknown(), in_flight: VecDeque::new() }
    }

    /// Creates a room: plans its first event, of this content, and returns the machine that goes on from there.
    ///
    /// `room_id` is the room's id where the room version lets the creating server choose it, and `None` where it is made
    /// from the create event (room version 12). `content.room_version` is set here.
    ///
    /// # Errors
    /// [`Refusal`]: the draft is no valid create event.
    pub fn create(
        rules: SupportedRules,
        room_id: Option<OwnedRoomId>,
        mut draft: Draft,
        now_ms: i64,
        signer: Signer<'_>,
    ) -> Result<(Self, Planned), Refusal> {
        draft.event_type = key::CREATE.to_owned();
        draft.state_key = Some(String::new());
        draft.content.insert("room_version", rules.version.as_str());
        check_sender(&draft, signer)?;
        let prepared = Prepared::new(rules, draft, room_id, (Vec::new(), Vec::new()), 1, now_ms);
        check_auth_events(rules, prepared.event(), None, &[])?;
        let (pdu, event) = prepared.sign(rules, signer)?;

        let head =
            Head { room_id: pdu.room_id().to_owned(), extremities: Vec::new(), newest: OrderKey::FIRST };
        let mut machine = Self { state: StateCache::empty_room(), ..Self::load(rules, head) };
        let planned = machine.advance(pdu, event, OrderKey::FIRST);
        Ok((machine, planned))
    }

    /// The room.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// The rules of its version.
    pub fn rules(&self) -> SupportedRules {
        self.rules
    }

    /// Its forward extremities, counting what is planned.
    pub fn extremities(&self) -> &[Extremity] {
        &self.extremities
    }

    /// The place of its newest event, counting what is planned.
    pub fn newest(&self) -> OrderKey {
        self.newest
    }

    /// How many events are planned and not committed.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The entries of the current state that must be supplied before this draft can be proposed. At most nine; none
    /// where all are known.
    pub fn needs(&self, draft: &Draft) -> Vec<StateKey> {
        let content = draft.auth_content(self.rules);
        let mut needed = draft.judging_keys(self.rules, &content);
        if let Some(own) = draft.key()
            && !needed.contains(&own)
        {
            needed.push(own);
        }
        needed.into_iter().filter(|key| !self.state.knows(*key)).map(StateKeyRef::to_key).collect()
    }

    /// Tells what stands in an entry of the committed current state. What is known already stays, as it may be newer.
    ///
    /// Read what [`RoomMachine::needs`] asks for from a snapshot that has everything told to
    /// [`RoomMachine::committed`] so far.
    pub fn supply(&mut self, key: StateKey, event: Option<StateEvent>) {
        self.state.supply(key, event);
    }

    /// What is known of an entry of the current state, counting what is planned: `None` if nothing is, `Some(None)` if
    /// the room has no such entry.
    pub fn current(&self, key: &StateKey) -> Option<Option<&StateEvent>> {
        self.state.knows(key.as_ref()).then(|| self.state.get(key.as_ref()))
    }

    /// The power levels that hold now, counting what is planned; `None` while `m.room.create` or `m.room.power_levels`
    /// are not known.
    pub fn power_levels(&self) -> Option<PowerLevels<'_>> {
        let levels_known = self.state.knows(StateKey::new(key::POWER_LEVELS, "").as_ref());
        let create = self.state.state(key::CREATE, "")?;
        let levels = self.state.state(key::POWER_LEVELS, "");
        levels_known.then(|| PowerLevels::new(&self.rules.get().auth, create, levels))
    }

    /// Makes the event that this draft describes, on top of what is planned already, and moves the head there.
    ///
    /// `now_ms` is the time, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`Refusal`]; the head stays where it was.
    pub fn propose(&mut self, draft: Draft, now_ms: i64, signer: Signer<'_>) -> Result<Planned, Refusal> {
        check_sender(&draft, signer)?;
        if draft.event_type == key::CREATE {
            return Err(crate::auth::Rejection::CreateHasPrevEvents.into());
        }
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return Err(Refusal::TooManyInFlight);
        }
        let missing = self.needs(&draft);
        if !missing.is_empty() {
            return Err(Refusal::Missing(missing));
        }
        let order_key = self.newest.next_live().ok_or(Refusal::OrderKeysUsedUp)?;

        let auth_events = self.auth_events(&draft);
        self.state.touch(draft.judging_keys(self.rules, &draft.auth_content(self.rules)));
        let prev_events = self.prev_events();
        let depth = prev_events.iter().map(|prev| prev.depth).max().unwrap_or(0);
        let depth = depth.saturating_add(1).min(self.rules.max_depth);
        let reference = |prev: &Extremity| EventReference {
            event_id: prev.event_id.clone(),
            reference_hash: prev.reference_hash,
        };
        let prev_events = prev_events.into_iter().map(reference).collect();
        let room_id = Some(self.room_id.clone());
        let prepared = Prepared::new(self.rules, draft, room_id, (prev_events, auth_events), depth, now_ms);
        check_voucher(prepared.event(), signer)?;
        check_state(self.rules, prepared.event(), &self.state)?;
        let (pdu, event) = prepared.sign(self.rules, signer)?;
        Ok(self.advance(pdu, event, order_key))
    }

    /// Tells that everything planned up to this place is committed, so that it may be forgotten here.
    pub fn committed(&mut self, up_to: OrderKey) {
        while let Some((order_key, key)) = self.in_flight.front()
            && *order_key <= up_to
        {
            if let Some(key) = key {
                self.state.settle(key, *order_key);
            }
            self.in_flight.pop_front();
        }
        self.state.trim();
    }

    /// The parents of the next event: all forward extremities, or if they are too many, the deepest.
    fn prev_events(&self) -> Vec<&Extremity> {
        let mut deepest: Vec<&Extremity> = self.extremities.iter().collect();
        deepest.sort_by(|a, b| b.depth.cmp(&a.depth).then_with(|| a.event_id.cmp(&b.event_id)));
        deepest.truncate(MAX_PREV_EVENTS);
        deepest
    }

    fn auth_events(&self, draft: &Draft) -> Vec<EventReference> {
        let content = draft.auth_content(self.rules);
        let keys = draft.auth_keys(self.rules, &content);
        keys.into_iter()
            .filter_map(|key| self.state.get(key))
            .map(|event| EventReference::from(event.pdu()))
            .collect()
    }

    fn advance(&mut self, pdu: Pdu, event: Event, order_key: OrderKey) -> Planned {
        self.extremities.retain(|extremity| !pdu.prev_events().contains(&extremity.event_id));
        self.extremities.push(Extremity::from(&pdu));
        self.newest = order_key;
        let key = event.key().map(StateKeyRef::to_key);
        let change = key.clone().map(|key| {
            let planned = StateEvent::of(pdu.clone(), event.clone());
            let replaced = self.state.plan(key.clone(), planned, order_key);
            StateChange { key, replaced }
        });
        self.in_flight.push_back((order_key, key));
        self.state.trim();
        Planned { pdu, event, order_key, change }
    }
}

/// This server signs only for its own users.
fn check_sender(draft: &Draft, signer: Signer<'_>) -> Result<(), Refusal> {
    if draft.sender.server_name() == signer.server_name {
        Ok(())
    } else {
        Err(Refusal::SenderElsewhere { sender: draft.sender.clone() })
    }
}

/// A join that somebody vouches for bears the signature of that user's server, which only this server's own can be had
/// here. (For others, the join is made by the other server.)
fn check_voucher(event: &Event, signer: Signer<'_>) -> Result<(), Refusal> {
    let Some(member) = event.as_member() else { return Ok(()) };
    match &member.authorised_via {
        AuthorisedVia::User(voucher)
            if member.membership == Some(Membership::Join)
                && user_id::server_name(voucher) != Some(signer.server_name.as_str()) =>
        {
            Err(Refusal::VoucherElsewhere { voucher: voucher.clone() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
