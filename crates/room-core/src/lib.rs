//! The brain of a room: who may do what, which state wins when servers disagree, and the live head that new events are
//! planned on.
//!
//! Everything here is synchronous and deterministic: no clock, no randomness, no store, no sockets. Time, keys and
//! stored events are handed in, decisions are handed out. The driver (crate `myelin-rooms`) does the rest.
//!
//! Where to start reading:
//! - [`event::Event`] is what the rules look at: a parsed event with the content that authorisation needs.
//! - [`machine::RoomMachine`] is the head of a live room: it turns drafts into events.
//! - [`auth::check_state`] applies the authorisation rules; [`verdict::receive`] all checks on an event from elsewhere.
//! - [`resolve::resolve`] joins the states of branches.
//! - [`power::PowerLevels`] answers who has which level and what an action requires.

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

pub mod auth;
pub mod content;
pub mod event;
pub mod key;
pub mod machine;
pub mod membership;
pub mod order_key;
pub mod power;
pub mod resolve;
pub mod third_party;
mod user_id;
pub mod verdict;
