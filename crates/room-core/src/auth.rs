//! The authorisation rules: whether an event may stand, given the state it is judged against
//! (<https://spec.matrix.org/v1.18/rooms/v11/#authorisation-rules>,
//! <https://spec.matrix.org/v1.18/rooms/v12/#authorisation-rules>).
//!
//! An event is judged in two parts: [`check_auth_events`] once, on what the event itself cites, and [`check_state`]
//! against each state that matters (that of its auth events, that before it, the current one).
//!
//! Signatures are checked before, by `myelin-pdu`: an event that lacks a signature the rules ask for never gets here.

mod auth_events;
mod create;
mod member;
mod power_levels;
mod rejection;
mod selection;

pub use auth_events::{Standing, check_auth_events};
pub use rejection::Rejection;
pub use selection::{auth_keys, judging_keys};

use std::ops::Deref;

use myelin_pdu::{RoomRules, RoomVersionId, StateResolution};

use crate::{
    content::JoinRule,
    event::Event,
    key,
    membership::Membership,
    power::{EventClass, PowerLevels},
};

/// Rules of a room version that this crate can apply in full.
#[derive(Clone, Copy, Debug)]
pub struct SupportedRules(&'static RoomRules);

/// The rules of this room version are not applied yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rooms of version {0} are not supported yet")]
pub struct Unsupported(pub RoomVersionId);

impl SupportedRules {
    /// The rules, if this crate applies every one of them.
    ///
    /// # Errors
    /// [`Unsupported`] for room version 1, whose states are resolved in another way.
    pub fn new(rules: &'static RoomRules) -> Result<Self, Unsupported> {
        let supported = rules.state_resolution != StateResolution::V1;
        if supported { Ok(Self(rules)) } else { Err(Unsupported(rules.version)) }
    }

    /// The rules themselves.
    pub fn get(self) -> &'static RoomRules {
        self.0
    }
}

impl Deref for SupportedRules {
    type Target = RoomRules;

    fn deref(&self) -> &RoomRules {
        self.0
    }
}

/// A state of a room that an event is judged against.
pub trait StateView {
    /// The event in this entry of the state, or `None` where the state has none.
    fn state(&self, event_type: &str, state_key: &str) -> Option<&Event>;
}

impl<V: StateView + ?Sized> StateView for &V {
    fn state(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        (**self).state(event_type, state_key)
    }
}

/// A few events as a state: of those with the same key, the last one holds.
impl StateView for [&Event] {
    fn state(&self, event_type: &str, state_key: &str) -> Option<&Event> {
        self.iter().rev().copied().find(|event| event.is(event_type, state_key))
    }
}

/// Judges an event against a state: the rules from `m.federate` on. A create event needs no state and passes.
///
/// # Errors
/// The first rule that the event breaks.
pub fn check_state<S: StateView + ?Sized>(
    rules: SupportedRules,
    event: &Event,
    state: &S,
) -> Result<(), Rejection> {
    if event.event_type.as_str() == key::CREATE {
        return Ok(());
    }
    let room = Room::of(rules, state)?;
    check_federation(event, room.create)?;
    if event.event_type.as_str() == key::ALIASES && rules.auth.aliases_have_own_rule {
        return check_aliases(event);
    }
    if event.event_type.as_str() == key::MEMBER {
        return member::check(&room, event);
    }
    if room.membership(&event.sender) != &Membership::Join {
        return Err(Rejection::SenderNotJoined { sender: event.sender.clone() });
    }
    check_power(&room, event)
}

/// The rules for events other than memberships, sent by a member of the room.
fn check_power<S: StateView + ?Sized>(room: &Room<'_, S>, event: &Event) -> Result<(), Rejection> {
    let (event_type, power) = (event.event_type.as_str(), room.power);
    let sender_level = power.user_level(&event.sender);
    let lacking = |action: &'static str, required| {
        Rejection::lacks_power(&event.sender, sender_level, action, required)
    };

    if event_type == key::THIRD_PARTY_INVITE {
        let required = power.invite();
        return if sender_level.reaches(required) { Ok(()) } else { Err(lacking("invite users", required)) };
    }
    let required = power.to_send(event_type, EventClass::of(event.state_key.as_deref()));
    if !sender_level.reaches(required) {
        return Err(Rejection::TypeNeedsPower {
            sender: event.sender.clone(),
            event_type: event_type.into(),
            has: sender_level,
            required,
        });
    }
    if let Some(state_key) = event.state_key.as_deref()
        && state_key.starts_with('@')
        && *state_key != *event.sender
    {
        return Err(Rejection::StateKeyOfAnotherUser { state_key: state_key.into() });
    }
    if event_type == key::POWER_LEVELS {
        return power_levels::check(room, event, sender_level);
    }
    if event_type == key::REDACTION && room.rules.auth.redactions_are_authorised {
        let required = power.redact();
        let may = sender_level.reaches(required) || redacts_its_own_servers(event);
        return if may { Ok(()) } else { Err(lacking("redact events of other servers", required)) };
    }
    Ok(())
}

/// Rule 11 of room versions 1 and 2: a redaction and what it redacts have ids of one server.
fn redacts_its_own_servers(event: &Event) -> bool {
    let server = |event_id: &str| event_id.split_once(':').map(|(_, server)| server.to_owned());
    let target = event.redacts.as_deref().and_then(server);
    target.is_some() && target == server(&event.event_id)
}

/// Rule 4 of room versions 1 to 5: a server's aliases are its own to list, by whoever.
fn check_aliases(event: &Event) -> Result<(), Rejection> {
    match event.state_key.as_deref() {
        Some(server) if event.sender_server() == Some(server) => Ok(()),
        _ => Err(Rejection::AliasesOfAnotherServer { sender: event.sender.clone() }),
    }
}

/// Rule 3 (room version 11), 4 (12).
fn check_federation(event: &Event, create: &Event) -> Result<(), Rejection> {
    let local_only = create.as_create().is_some_and(|content| content.local_only);
    if local_only && event.sender_server() != create.sender_server() {
        return Err(Rejection::RoomNotFederated { sender: event.sender.clone() });
    }
    Ok(())
}

/// A state, read as the rules read it.
struct Room<'a, S: ?Sized> {
    rules: SupportedRules,
    state: &'a S,
    create: &'a Event,
    power: PowerLevels<'a>,
}

impl<'a, S: StateView + ?Sized> Room<'a, S> {
    fn of(rules: SupportedRules, state: &'a S) -> Result<Self, Rejection> {
        let create = state.state(key::CREATE, "").ok_or(Rejection::NoCreateEvent)?;
        let power = PowerLevels::new(&rules.get().auth, create, state.state(key::POWER_LEVELS, ""));
        Ok(Self { rules, state, create, power })
    }

    /// The user's membership; who has no membership event, or one that says nothing, is not in the room.
    fn membership(&self, user_id: &str) -> &'a Membership {
        let event = self.state.state(key::MEMBER, user_id);
        event
            .and_then(Event::as_member)
            .and_then(|member| member.membership.as_ref())
            .unwrap_or(&Membership::Leave)
    }

    /// The join rule; a room without one is invite-only, as other servers have it.
    fn join_rule(&self) -> &'a JoinRule {
        self.state.state(key::JOIN_RULES, "").and_then(Event::as_join_rule).unwrap_or(&JoinRule::Invite)
    }
}

#[cfg(test)]
pub(crate) mod tests;
