//! Pushers, and what is sent to their gateways (client-server API, "Push Notifications"; push gateway API).
//!
//! One task follows the log and puts what notifies somebody with pushers into queues in memory; each pusher that has
//! something to send is served by a task of its own. What is not delivered within a few seconds is written down with the
//! position up to which the log was looked through, so that a crash costs a repetition, never a notification. Gateways
//! tell repetitions by the event id.

mod deliver;
mod dispatch;
mod gateway;
mod notice;
mod pushers;
mod queue;
#[cfg(test)]
mod tests;

pub use gateway::{Gateway, GatewayError};
pub use pushers::{MAX_PUSHERS, NewPusher, PusherError, PusherProblem, Schemes};
pub use queue::MAX_QUEUE;

pub(crate) use queue::Queues;
