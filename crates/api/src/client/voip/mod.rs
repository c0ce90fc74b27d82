//! Calls.

pub(crate) mod turn_server;
