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

mod rules;
mod version;

pub use rules::{
    AuthRules, CanonicalJsonRule, CreatorRule, EventIdFormat, EventReferenceFormat, KeyValidityRule,
    PowerLevelFormat, RedactionRules, RedactsLocation, RoomIdFormat, RoomRules, SignatureRules,
    StateResolution,
};
pub use version::{RoomVersionId, UnknownRoomVersion};
