//! What a client of sync is due.
//!
//! **Invariants.** No IO, no clock, no randomness, no panic on any input.

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

pub mod token;
