//! The client-server API, by area.

pub(crate) mod account;
pub(crate) mod device;
pub(crate) mod media;
pub(crate) mod server;
pub(crate) mod session;
