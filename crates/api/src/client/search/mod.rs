//! Searching on the server.

pub(crate) mod events;
