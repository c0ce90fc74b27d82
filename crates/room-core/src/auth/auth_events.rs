//! Rules on what an event cites as `auth_events`, and the create event's own rules. They do not depend on any state.

use myelin_pdu::RoomIdFormat;

use super::{Rejection, SupportedRules, create, selection::auth_keys};
use crate::{
    event::Event,
    key::{self, StateKeyRef},
};

/// What became of an event when it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It passed the checks, or was only soft-failed.
    Accepted,
    /// It was rejected: it never authorises anything.
    Rejected,
}

/// Judges what an event says by itself: the rules for create events, and those for `auth_events` (MSC4307 included).
///
/// `create` is the room's create event, needed where the room's id is made from it (MSC4291). `auth_events` are the
/// events that the event cites, in any order; the caller makes sure that none is missing.
///
/// # Errors
/// The first rule that the event breaks.
pub fn check_auth_events(
    rules: SupportedRules,
    event: &Event,
    create: Option<(&Event, Standing)>,
    auth_events: &[(&Event, Standing)],
) -> Result<(), Rejection> {
    if event.event_type.as_str() == key::CREATE {
        return create::check(rules, event);
    }
    let room_id = event.room_id.as_deref().ok_or(Rejection::NoRoomId)?;
    if rules.room_id_format == RoomIdFormat::CreateEventHash {
        check_room_exists(room_id, create)?;
    }
    let expected = auth_keys(
        &rules.auth,
        event.event_type.as_str(),
        &event.sender,
        event.state_key.as_deref(),
        &event.content,
    );
    let mut seen: Vec<StateKeyRef<'_>> = Vec::with_capacity(auth_events.len());
    for &(auth_event, standing) in auth_events {
        let event_id = || auth_event.event_id.clone();
        if auth_event.room_id.as_deref() != Some(room_id) {
            return Err(Rejection::AuthEventOfAnotherRoom { event_id: event_id() });
        }
        let key = auth_event.key().ok_or_else(|| Rejection::AuthEventNotState { event_id: event_id() })?;
        if !expected.contains(&key) {
            return Err(Rejection::UnexpectedAuthEvent { event_id: event_id(), key: key.to_key() });
        }
        // At most seven keys are expected, so that this search stays short however long the list is.
        if seen.contains(&key) {
            return Err(Rejection::DuplicateAuthEvent { key: key.to_key() });
        }
        if standing == Standing::Rejected {
            return Err(Rejection::RejectedAuthEvent { event_id: event_id() });
        }
        seen.push(key);
    }
    let cites_create = seen.iter().any(|key| key.event_type == key::CREATE);
    if rules.auth.create_event_in_auth_events && !cites_create {
        return Err(Rejection::NoCreateInAuthEvents);
    }
    Ok(())
}

/// Rule 2 of room version 12: the room's id is that of an accepted create event, with another sigil.
fn check_room_exists(room_id: &str, create: Option<(&Event, Standing)>) -> Result<(), Rejection> {
    let named = create.is_some_and(|(create, standing)| {
        standing == Standing::Accepted
            && create.is(key::CREATE, "")
            && create.event_id.strip_prefix('$').is_some_and(|hash| room_id.strip_prefix('!') == Some(hash))
    });
    if named { Ok(()) } else { Err(Rejection::RoomIdNamesNoCreateEvent { room_id: room_id.into() }) }
}
