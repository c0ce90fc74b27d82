//! Sync: what happened in a user's rooms and to their devices.
//!
//! Two faces over one engine: [`Sync::sliding`], for clients that look at a window of their rooms, and [`Sync::v3`],
//! for those that want all of them. Each answer is read from one snapshot, in bulk. Waiting requests are woken by the
//! commits that concern their user and by nothing else.
//!
//! **Invariants.** No commit is missed between reading and waiting. What a connection remembers is never ahead of what
//! its client has seen. Every queue, cache and connection table has a bound.

mod as_of;
mod connections;
mod crowds;
mod devices;
mod heroes;
mod look;
mod notifier;
mod parts;
mod personal;
pub mod ports;
mod presence;
mod recent;
mod room_cache;
mod section;
mod sends;
mod service;
pub mod sliding;
mod state;
mod sticky;
mod stored_rooms;
mod threads;
mod user_rooms;
mod users;
pub mod v3;
mod waiters;

pub use sends::SendInFlight;
pub use service::{Flush, Sync};
pub use threads::ThreadsAnswer;
