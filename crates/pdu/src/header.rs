//! Reading an event's fields out of its JSON, and holding them against the event format and the limits.

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::limits::{MAX_AUTH_EVENTS, MAX_ID_BYTES, MAX_PREV_EVENTS};
use crate::{
    CanonicalObject, CanonicalValue, EventIdFormat, EventReferenceFormat, PduError, RedactsLocation,
    RoomIdFormat, RoomRules, sticky,
};

/// The fields of an event that are read when it is parsed.
pub(crate) struct Header {
    /// The id the event states, where ids are chosen.
    pub(crate) chosen_event_id: Option<OwnedEventId>,
    /// The room id the event states.
    pub(crate) room_id: Option<OwnedRoomId>,
    pub(crate) sender: OwnedUserId,
    pub(crate) event_type: Box<str>,
    pub(crate) state_key: Option<Box<str>>,
    pub(crate) origin_server_ts: i64,
    pub(crate) depth: i64,
    pub(crate) prev_events: Box<[OwnedEventId]>,
    pub(crate) auth_events: Box<[OwnedEventId]>,
    pub(crate) redacts: Option<OwnedEventId>,
    pub(crate) membership: Option<Box<str>>,
    pub(crate) sticky_duration: Option<i64>,
}

impl Header {
    pub(crate) fn read(event: &CanonicalObject, rules: &RoomRules) -> Result<Self, PduError> {
        let event_type = string(event, "type")?;
        if event_type.len() > MAX_ID_BYTES {
            return Err(PduError::TypeTooLong);
        }
        let content = object(event, "content")?;
        object(event, "signatures")?;
        let state_key = state_key(event)?;
        Ok(Self {
            chosen_event_id: chosen_event_id(event, rules)?,
            room_id: room_id(event, event_type, rules)?,
            sender: sender(event)?,
            membership: (event_type == "m.room.member")
                .then(|| content.get_str("membership").map(Into::into))
                .flatten(),
            redacts: redacts(event, content, event_type, rules),
            sticky_duration: sticky::duration(event),
            event_type: event_type.into(),
            state_key: state_key.map(Into::into),
            origin_server_ts: integer(event, "origin_server_ts")?,
            depth: depth(event, rules)?,
            prev_events: references(event, "prev_events", rules, MAX_PREV_EVENTS)?
                .ok_or(PduError::TooManyPrevEvents)?,
            auth_events: references(event, "auth_events", rules, MAX_AUTH_EVENTS)?
                .ok_or(PduError::TooManyAuthEvents)?,
        })
    }
}

fn string<'a>(event: &'a CanonicalObject, field: &'static str) -> Result<&'a str, PduError> {
    required(event, field)?.as_str().ok_or(PduError::Malformed { field, expected: "a string" })
}

fn integer(event: &CanonicalObject, field: &'static str) -> Result<i64, PduError> {
    required(event, field)?.as_integer().ok_or(PduError::Malformed { field, expected: "an integer" })
}

fn object<'a>(event: &'a CanonicalObject, field: &'static str) -> Result<&'a CanonicalObject, PduError> {
    required(event, field)?.as_object().ok_or(PduError::Malformed { field, expected: "an object" })
}

fn required<'a>(event: &'a CanonicalObject, field: &'static str) -> Result<&'a CanonicalValue, PduError> {
    event.get(field).ok_or(PduError::Missing { field })
}

fn state_key(event: &CanonicalObject) -> Result<Option<&str>, PduError> {
    let Some(value) = event.get("state_key") else { return Ok(None) };
    let key = value.as_str().ok_or(PduError::Malformed { field: "state_key", expected: "a string" })?;
    if key.len() > MAX_ID_BYTES { Err(PduError::StateKeyTooLong) } else { Ok(Some(key)) }
}

fn sender(event: &CanonicalObject) -> Result<OwnedUserId, PduError> {
    let sender = string(event, "sender")?;
    if sender.len() > MAX_ID_BYTES {
        return Err(PduError::SenderTooLong);
    }
    UserId::parse(sender).map_err(|_| PduError::Malformed { field: "sender", expected: "a user id" })
}

fn chosen_event_id(event: &CanonicalObject, rules: &RoomRules) -> Result<Option<OwnedEventId>, PduError> {
    if rules.event_id_format != EventIdFormat::Chosen {
        return Ok(None);
    }
    let event_id = event_id(string(event, "event_id")?, "event_id")?;
    if event_id.server_name().is_none() {
        return Err(PduError::Malformed { field: "event_id", expected: "an event id with a server name" });
    }
    Ok(Some(event_id))
}

fn event_id(id: &str, field: &'static str) -> Result<OwnedEventId, PduError> {
    if id.len() > MAX_ID_BYTES {
        return Err(PduError::EventIdTooLong);
    }
    EventId::parse(id).map_err(|_| PduError::Malformed { field, expected: "an event id" })
}

/// Only a create event may lack its room id, and only where it makes the room's id. That it must lack it there is an
/// authorisation rule, so that such an event is rejected and not dropped.
fn room_id(
    event: &CanonicalObject,
    event_type: &str,
    rules: &RoomRules,
) -> Result<Option<OwnedRoomId>, PduError> {
    let makes_room_id =
        rules.room_id_format == RoomIdFormat::CreateEventHash && event_type == "m.room.create";
    if makes_room_id && !event.contains_key("room_id") {
        return Ok(None);
    }
    let room_id = string(event, "room_id")?;
    if room_id.len() > MAX_ID_BYTES {
        return Err(PduError::RoomIdTooLong);
    }
    let parsed = RoomId::parse(room_id)
        .map_err(|_| PduError::Malformed { field: "room_id", expected: "a room id" })?;
    Ok(Some(parsed))
}

fn depth(event: &CanonicalObject, rules: &RoomRules) -> Result<i64, PduError> {
    match required(event, "depth")? {
        CanonicalValue::Integer(depth) if (0..=rules.max_depth).contains(depth) => Ok(*depth),
        CanonicalValue::Integer(_) | CanonicalValue::Legacy(_) => Err(PduError::DepthOutOfRange),
        _ => Err(PduError::Malformed { field: "depth", expected: "an integer" }),
    }
}

/// The event ids of `prev_events` or `auth_events`; none if there are more than `most`.
fn references(
    event: &CanonicalObject,
    field: &'static str,
    rules: &RoomRules,
    most: usize,
) -> Result<Option<Box<[OwnedEventId]>>, PduError> {
    let malformed = PduError::Malformed { field, expected: "a list of event references" };
    let Some(references) = required(event, field)?.as_array() else { return Err(malformed) };
    if references.len() > most {
        return Ok(None);
    }
    let ids = references.iter().map(|reference| {
        let id = match (rules.event_reference_format, reference) {
            (EventReferenceFormat::Id, CanonicalValue::String(id)) => id,
            (EventReferenceFormat::IdAndHash, CanonicalValue::Array(pair)) => match pair.as_slice() {
                [CanonicalValue::String(id), CanonicalValue::Object(_)] => id,
                _ => return Err(malformed.clone()),
            },
            _ => return Err(malformed.clone()),
        };
        event_id(id, field)
    });
    ids.collect::<Result<_, _>>().map(Some)
}

/// A target that is no event id redacts nothing; the event itself is as good as any other.
fn redacts(
    event: &CanonicalObject,
    content: &CanonicalObject,
    event_type: &str,
    rules: &RoomRules,
) -> Option<OwnedEventId> {
    if event_type != "m.room.redaction" {
        return None;
    }
    let target = match rules.redaction.redacts_location {
        RedactsLocation::TopLevel => event.get_str("redacts"),
        RedactsLocation::Content => content.get_str("redacts"),
    };
    event_id(target?, "redacts").ok()
}
