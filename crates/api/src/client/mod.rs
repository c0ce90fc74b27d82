//! The client-server API, by area.

pub(crate) mod server;
