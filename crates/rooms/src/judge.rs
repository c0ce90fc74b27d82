//! The door to `room-core`: the machine of a room, and what its refusals mean here.

use myelin_pdu::{RoomRules, RoomVersionId};
use myelin_room_core::auth::SupportedRules;
use myelin_room_core::machine::{self, Planned, RoomMachine, Signer};
use myelin_room_core::order_key::OrderKey;

use crate::extremities;
use crate::load::Loaded;
use crate::service::Deps;
use crate::{Draft, Refusal, SendError};

/// The machine of a room as the store has it.
pub(crate) fn machine(loaded: &Loaded) -> Result<RoomMachine, SendError> {
    let unsupported = |version: &str| SendError::UnsupportedVersion(version.to_owned());
    let version: RoomVersionId =
        loaded.room.version.parse().map_err(|_| unsupported(&loaded.room.version))?;
    let rules = SupportedRules::new(RoomRules::for_version(&version))
        .map_err(|error| unsupported(&error.0.to_string()))?;
    let extremities = extremities::read(&loaded.head.extremities)
        .map_err(|error| SendError::Unavailable(std::sync::Arc::new(error)))?;
    let newest = OrderKey(loaded.head.last_order);
    Ok(RoomMachine::load(rules, machine::Head { room_id: loaded.room.room_id.clone(), extremities, newest }))
}

/// Makes a room's first event.
pub(crate) fn create(
    deps: &Deps,
    rules: SupportedRules,
    draft: &Draft,
    now: u64,
) -> Result<(RoomMachine, Planned), SendError> {
    let draft = machine::Draft { event_id: deps.new_event_id(&rules), ..core(draft) };
    RoomMachine::create(rules, deps.new_room_id(&rules), draft, millis(now), signer(deps)).map_err(refused)
}

/// Makes the next event of a room; the machine knows everything it needs for it.
pub(crate) fn propose(
    deps: &Deps,
    machine: &mut RoomMachine,
    draft: machine::Draft,
) -> Result<Planned, SendError> {
    let draft = machine::Draft { event_id: deps.new_event_id(&machine.rules()), ..draft };
    machine.propose(draft, millis(deps.env.clock.now()), signer(deps)).map_err(refused)
}

/// The draft in the machine's form.
pub(crate) fn core(draft: &Draft) -> machine::Draft {
    machine::Draft {
        sender: draft.sender.clone(),
        event_type: draft.kind.clone(),
        state_key: draft.state_key.clone(),
        content: draft.content.clone(),
        event_id: None,
        redacts: draft.redacts.clone(),
        unsigned: None,
        sticky: draft.sticky,
        origin_server_ts: None,
    }
}

fn signer(deps: &Deps) -> Signer<'_> {
    Signer { server_name: &deps.config.server_name, key: &deps.config.signing_key }
}

fn millis(now: u64) -> i64 {
    i64::try_from(now).unwrap_or(i64::MAX)
}

fn refused(refusal: machine::Refusal) -> SendError {
    match refusal {
        machine::Refusal::Rejected(rejection) => Refusal::NotAllowed(rejection).into(),
        machine::Refusal::Malformed(error) if error.is_too_large() => {
            Refusal::TooLarge(error.to_string()).into()
        }
        machine::Refusal::Malformed(error) => Refusal::NoEvent(error.to_string()).into(),
        machine::Refusal::TooManyInFlight => SendError::Busy,
        // The driver supplies what is missing and plans for this server's users only.
        other => Refusal::NoEvent(other.to_string()).into(),
    }
}
