//! The Myelin server: configuration, composition root, listeners, command line.
//!
//! `compose` is where services are made and wired; nothing else knows all of them.

pub mod admin;
pub mod cli;
pub mod compose;
pub mod config;
mod departures;
pub mod front;
mod greeting;
pub mod listen;
mod logging;
mod metrics;
mod outbound;
mod ports;
mod seal_keys;
pub mod serve;
mod signing_key;
pub mod tls;
