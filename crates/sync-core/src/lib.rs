//! What a client of sync is due: the protocol's decisions, without IO.
//!
//! [`rooms`] keeps a user's rooms in the order of lists, [`window`] selects those a request is about, [`connection`]
//! remembers what a client has seen and decides what each room is due, [`config`] and [`lazy`] say which state goes
//! with it. [`token`] names places in the log and in timelines.
//!
//! **Invariants.** No IO, no clock, no randomness, no panic on any input; every loop is bounded by what the caller
//! hands in.

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

pub mod config;
pub mod connection;
pub mod devices;
pub mod event_fields;
pub mod event_filter;
pub mod lazy;
pub mod rooms;
pub mod sticky;
pub mod token;
pub mod window;
