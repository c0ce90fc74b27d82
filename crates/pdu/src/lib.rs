//! Events of Matrix rooms as bytes and facts.
//!
//! What the specification says about an event taken alone lives here: which rules its room version follows, how its
//! JSON is made canonical, its hashes and its id, what redaction leaves of it, and who must have signed it. What an
//! event means among other events (authorisation, state resolution) is `room-core`'s.
//!
//! **Invariants.** No IO, no clock, no randomness, no panic on any input; every loop is bounded by the size limits of
//! the specification. A room version is a [`RoomRules`] value: nothing here or above compares version numbers.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

mod base64;
mod canonical;
mod draft;
mod error;
mod hash;
mod header;
mod keys;
pub mod limits;
mod parallel;
mod pdu;
mod redact;
mod rules;
mod sign;
mod sticky;
mod verify;
mod version;

pub use canonical::{
    CanonicalError, CanonicalObject, CanonicalValue, LegacyNumber, MAX_CANONICAL_INTEGER, MAX_NESTING,
    to_canonical,
};
pub use draft::{EventDraft, EventReference};
pub use error::PduError;
pub use hash::{
    Sha256Hash, content_hash, hash_from_event_id, reference_hash, room_id_from_create_event,
    stated_content_hash,
};
pub use keys::{InvalidKey, KeyId, SigningKey, VerifyingKey};
pub use pdu::Pdu;
pub use redact::redact;
pub use rules::{
    AuthRules, CanonicalJsonRule, CreatorRule, EventIdFormat, EventReferenceFormat, KeyValidityRule,
    PowerLevelFormat, RedactionRules, RedactsLocation, RoomIdFormat, RoomRules, SignatureRules,
    StateResolution,
};
pub use sign::{
    MalformedSignatures, SignatureError, add_content_hash, add_signature, hash_and_sign_event, sign_event,
    sign_json, verify_json,
};
pub use sticky::{MAX_STICKY_MS, STICKY_KEYS};
pub use verify::{
    KeyLookup, KeyValidity, ServerKey, UnverifiedPdu, VerifiedPdu, VerifyError, verify_all, verify_pdu,
};
pub use version::{RoomVersionId, UnknownRoomVersion};
