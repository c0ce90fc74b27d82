//! The parsed event.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId, ServerName, UserId};
use serde::Deserialize;

use crate::canonical::{parse_recording, write_entry_start};
use crate::hash::{event_id_from_hash, hash_from_event_id, room_id_from_create_event, sha256, signing_bytes};
use crate::header::Header;
use crate::limits::{MAX_PDU_BYTES, MAX_RECEIVED_BYTES};
use crate::sign::sign_event;
use crate::{CanonicalObject, PduError, RoomRules, Sha256Hash, SigningKey, redact, reference_hash};

/// An event of a room: its bytes as received or made, and the fields of its header. It never changes, and a clone is a
/// pointer.
///
/// That it exists says that it has the form its room version asks for and keeps to the limits, so that no reader has to
/// check again. It does not say that its signatures and hashes are right: that is what
/// [`UnverifiedPdu`](crate::UnverifiedPdu) is for.
#[derive(Clone)]
pub struct Pdu(Arc<Inner>);

struct Inner {
    rules: &'static RoomRules,
    raw: Bytes,
    content: Range<usize>,
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    header: Header,
}

impl Pdu {
    /// Reads an event in federation format and works out its id.
    ///
    /// `raw` is kept as it is; a slice of a larger buffer keeps that buffer alive.
    ///
    /// # Errors
    /// [`PduError`]: such an event does not exist for its room, and is dropped.
    pub fn parse(raw: Bytes, rules: &'static RoomRules) -> Result<Self, PduError> {
        parse_checked(raw, rules).map(|(pdu, _, _)| pdu)
    }

    /// Reads an event that [`Pdu::parse`] accepted before, under the id it got then. Neither hash nor size are worked
    /// out again.
    ///
    /// # Errors
    /// [`PduError`] if the bytes are no event of this form.
    pub fn from_stored(
        raw: Bytes,
        event_id: OwnedEventId,
        rules: &'static RoomRules,
    ) -> Result<Self, PduError> {
        let (object, content) = parse_recording(&raw, rules.canonical_json, "content")?;
        let header = Header::read(&object, rules)?;
        Self::assemble(raw, content, header, event_id, rules)
    }

    /// The event that `object` is; its bytes are the canonical ones.
    ///
    /// # Errors
    /// [`PduError`]
    pub fn from_object(object: &CanonicalObject, rules: &'static RoomRules) -> Result<Self, PduError> {
        object.check(rules.canonical_json)?;
        let header = Header::read(object, rules)?;
        check_size(object)?;
        let event_id = event_id(object, &header, rules)?;
        Self::from_checked(object, header, event_id, rules)
    }

    /// The event of an object whose header was read and whose size is within the limit.
    pub(crate) fn from_checked(
        object: &CanonicalObject,
        header: Header,
        event_id: OwnedEventId,
        rules: &'static RoomRules,
    ) -> Result<Self, PduError> {
        let (raw, content) = write_recording_content(object);
        Self::assemble(raw.into(), content, header, event_id, rules)
    }

    fn assemble(
        raw: Bytes,
        content: Range<usize>,
        header: Header,
        event_id: OwnedEventId,
        rules: &'static RoomRules,
    ) -> Result<Self, PduError> {
        let room_id = match &header.room_id {
            Some(room_id) => room_id.clone(),
            None => room_id_from_create_event(&event_id)
                .map_err(|_| PduError::Malformed { field: "event_id", expected: "a reference hash" })?,
        };
        Ok(Self(Arc::new(Inner { rules, raw, content, event_id, room_id, header })))
    }

    /// The rules of its room's version.
    #[must_use]
    pub fn rules(&self) -> &'static RoomRules {
        self.0.rules
    }

    /// The whole event as received or made, in federation format.
    ///
    /// What it holds under `unsigned` is the word of whoever sent it.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.0.raw
    }

    /// Where in [`Pdu::raw`] the content stands.
    #[must_use]
    pub fn content_range(&self) -> Range<usize> {
        self.0.content.clone()
    }

    /// The content as received: the JSON text of an object.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.0.raw.get(self.0.content.clone()).unwrap_or(b"{}")
    }

    /// The content, or what of it `T` wants to know.
    ///
    /// # Errors
    /// Those of serde: the content of an event may be anything.
    pub fn content_as<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.content())
    }

    /// The content as canonical JSON, parsed anew on each call.
    #[must_use]
    pub fn content_object(&self) -> CanonicalObject {
        // It was read under the same rule before, so the default is never taken.
        CanonicalObject::parse(self.content(), self.0.rules.canonical_json).unwrap_or_default()
    }

    /// The whole event as canonical JSON, parsed anew on each call.
    #[must_use]
    pub fn object(&self) -> CanonicalObject {
        // It was read under the same rule before, so the default is never taken.
        CanonicalObject::parse(&self.0.raw, self.0.rules.canonical_json).unwrap_or_default()
    }

    /// Its id.
    #[must_use]
    pub fn event_id(&self) -> &EventId {
        &self.0.event_id
    }

    /// The room it is in; for a create event that makes the room's id (v12), the id it makes.
    #[must_use]
    pub fn room_id(&self) -> &RoomId {
        &self.0.room_id
    }

    /// Whether it bears a `room_id` of its own: all events do but the create events of v12, which must not.
    #[must_use]
    pub fn states_room_id(&self) -> bool {
        self.0.header.room_id.is_some()
    }

    /// Who sent it.
    #[must_use]
    pub fn sender(&self) -> &UserId {
        &self.0.header.sender
    }

    /// The server of its sender.
    #[must_use]
    pub fn sender_server(&self) -> &ServerName {
        self.0.header.sender.server_name()
    }

    /// Its `type`.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.0.header.event_type
    }

    /// Its `state_key`; there is one exactly on state events.
    #[must_use]
    pub fn state_key(&self) -> Option<&str> {
        self.0.header.state_key.as_deref()
    }

    /// Whether it is a state event.
    #[must_use]
    pub fn is_state(&self) -> bool {
        self.0.header.state_key.is_some()
    }

    /// Whether it is the state event with this type and key.
    #[must_use]
    pub fn is_state_of(&self, event_type: &str, state_key: &str) -> bool {
        self.event_type() == event_type && self.state_key() == Some(state_key)
    }

    /// When its sender's server says that it was made, in milliseconds since 1970.
    #[must_use]
    pub fn origin_server_ts(&self) -> i64 {
        self.0.header.origin_server_ts
    }

    /// One more than the greatest depth of its parents, at most [`RoomRules::max_depth`].
    #[must_use]
    pub fn depth(&self) -> i64 {
        self.0.header.depth
    }

    /// Its parents in the room's graph.
    #[must_use]
    pub fn prev_events(&self) -> &[OwnedEventId] {
        &self.0.header.prev_events
    }

    /// The events that allow it.
    #[must_use]
    pub fn auth_events(&self) -> &[OwnedEventId] {
        &self.0.header.auth_events
    }

    /// The event an `m.room.redaction` redacts, wherever its room version writes it.
    #[must_use]
    pub fn redacts(&self) -> Option<&EventId> {
        self.0.header.redacts.as_deref()
    }

    /// The `membership` of an `m.room.member` event.
    #[must_use]
    pub fn membership(&self) -> Option<&str> {
        self.0.header.membership.as_deref()
    }

    /// For how many milliseconds it is sticky (MSC4354), at most [`MAX_STICKY_MS`](crate::MAX_STICKY_MS); nothing where it
    /// is like any other.
    #[must_use]
    pub fn sticky_duration(&self) -> Option<i64> {
        self.0.header.sticky_duration
    }

    /// Its reference hash. Where event ids are made of it (v3 and later) nothing is worked out.
    #[must_use]
    pub fn reference_hash(&self) -> Sha256Hash {
        hash_from_event_id(self.event_id(), self.0.rules)
            .unwrap_or_else(|| reference_hash(&self.object(), self.0.rules))
    }

    /// Its redacted copy, under the same id.
    ///
    /// # Errors
    /// None but those of an event that was not parsed with the same rules.
    pub fn redacted(&self) -> Result<Self, PduError> {
        let object = redact(&self.object(), self.0.rules);
        let header = Header::read(&object, self.0.rules)?;
        Self::from_checked(&object, header, self.0.event_id.clone(), self.0.rules)
    }

    /// A copy that `server_name` has signed too, as resident servers do with joins, knocks and invites they vouch for.
    ///
    /// # Errors
    /// [`PduError::TooLarge`] if there is no room for one more signature, or [`PduError::Signatures`].
    pub fn signed_by(&self, server_name: &ServerName, key: &SigningKey) -> Result<Self, PduError> {
        let mut object = self.object();
        sign_event(&mut object, self.0.rules, server_name.as_str(), key)?;
        Self::from_object(&object, self.0.rules)
    }
}

impl fmt::Debug for Pdu {
    /// Says which event it is; content does not belong into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pdu")
            .field("event_id", &self.0.event_id)
            .field("type", &self.event_type())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Pdu {
    /// The same bytes under the same id.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.event_id == other.0.event_id && self.0.raw == other.0.raw)
    }
}

impl Eq for Pdu {}

/// [`Pdu::parse`], with what it came by: the object, and the bytes that signatures are made over.
pub(crate) fn parse_checked(
    raw: Bytes,
    rules: &'static RoomRules,
) -> Result<(Pdu, CanonicalObject, Vec<u8>), PduError> {
    if raw.len() > MAX_RECEIVED_BYTES {
        return Err(PduError::ReceivedTooLarge);
    }
    let (object, content) = parse_recording(&raw, rules.canonical_json, "content")?;
    let header = Header::read(&object, rules)?;
    check_size(&object)?;
    let signed = signing_bytes(&object, rules);
    let event_id = event_id_over(&signed, &header, rules)?;
    let pdu = Pdu::assemble(raw, content, header, event_id, rules)?;
    Ok((pdu, object, signed))
}

fn event_id(object: &CanonicalObject, header: &Header, rules: &RoomRules) -> Result<OwnedEventId, PduError> {
    event_id_over(&signing_bytes(object, rules), header, rules)
}

/// The event id, chosen or made of the bytes that signatures are made over.
pub(crate) fn event_id_over(
    signed: &[u8],
    header: &Header,
    rules: &RoomRules,
) -> Result<OwnedEventId, PduError> {
    match &header.chosen_event_id {
        Some(event_id) => Ok(event_id.clone()),
        None => event_id_from_hash(&sha256(signed), rules.event_id_format)
            .ok_or(PduError::Missing { field: "event_id" }),
    }
}

/// Holds the event against [`MAX_PDU_BYTES`].
pub(crate) fn check_size(event: &CanonicalObject) -> Result<(), PduError> {
    let mut bytes = Vec::with_capacity(2048);
    event.write_filtered(&mut bytes, |key| key != "unsigned");
    if bytes.len() > MAX_PDU_BYTES { Err(PduError::TooLarge { bytes: bytes.len() }) } else { Ok(()) }
}

fn write_recording_content(event: &CanonicalObject) -> (Vec<u8>, Range<usize>) {
    let mut out = Vec::with_capacity(1024);
    let (mut first, mut content) = (true, 0..0);
    out.push(b'{');
    for (key, value) in event.iter() {
        write_entry_start(&mut first, key, &mut out);
        let start = out.len();
        value.write(&mut out);
        if key == "content" {
            content = start..out.len();
        }
    }
    out.push(b'}');
    (out, content)
}
