//! Content hash, reference hash, and the ids made of them
//! ([signing events](https://spec.matrix.org/latest/server-server-api/#signing-events)).

use ruma::{EventId, OwnedEventId, OwnedRoomId};
use sha2::{Digest, Sha256};

use crate::canonical::CanonicalObject;
use crate::redact::write_redacted;
use crate::{EventIdFormat, RoomRules, base64};

/// A SHA-256 hash.
pub type Sha256Hash = [u8; 32];

/// The content hash of an event: over all of it but `unsigned`, `signatures` and `hashes`.
#[must_use]
pub fn content_hash(event: &CanonicalObject) -> Sha256Hash {
    let mut bytes = Vec::with_capacity(1024);
    event.write_filtered(&mut bytes, |key| !matches!(key, "unsigned" | "signatures" | "hashes"));
    sha256(&bytes)
}

/// The content hash an event states in `hashes.sha256`, if it can be read.
#[must_use]
pub fn stated_content_hash(event: &CanonicalObject) -> Option<Sha256Hash> {
    base64::decode(event.get_object("hashes")?.get_str("sha256")?)
}

/// The reference hash of an event: over its redacted form without `signatures` and `unsigned`.
#[must_use]
pub fn reference_hash(event: &CanonicalObject, rules: &RoomRules) -> Sha256Hash {
    sha256(&signing_bytes(event, rules))
}

/// What the reference hash and the signatures of an event are made over. Both leave out `signatures` and `unsigned`,
/// so they are made over the same bytes.
pub(crate) fn signing_bytes(event: &CanonicalObject, rules: &RoomRules) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    write_redacted(event, rules, &mut bytes);
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> Sha256Hash {
    Sha256::digest(bytes).into()
}

/// The event id that `hash` makes, or none where ids are chosen (v1, v2).
pub(crate) fn event_id_from_hash(hash: &Sha256Hash, format: EventIdFormat) -> Option<OwnedEventId> {
    let hash = match format {
        EventIdFormat::Chosen => return None,
        EventIdFormat::HashStandardBase64 => base64::encode(hash),
        EventIdFormat::HashUrlSafeBase64 => base64::encode_url_safe(hash),
    };
    EventId::parse(format!("${hash}")).ok()
}

/// The reference hash that an event id is made of; none where ids are chosen (v1, v2), or if it is not one of this
/// format.
#[must_use]
pub fn hash_from_event_id(event_id: &EventId, rules: &RoomRules) -> Option<Sha256Hash> {
    let hash = event_id.as_str().strip_prefix('$')?;
    match rules.event_id_format {
        EventIdFormat::Chosen => None,
        EventIdFormat::HashStandardBase64 => base64::decode(hash),
        EventIdFormat::HashUrlSafeBase64 => base64::decode_url_safe(hash),
    }
}

/// The id of the room that the create event with this id makes (v12): `!` for `$`.
///
/// # Errors
/// [`ruma::IdParseError`] if the id is longer than identifiers may be.
pub fn room_id_from_create_event(event_id: &EventId) -> Result<OwnedRoomId, ruma::IdParseError> {
    ruma::RoomId::parse(event_id.as_str().replacen('$', "!", 1))
}
