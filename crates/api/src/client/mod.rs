//! The client-server API, by area.

pub(crate) mod account;
pub(crate) mod device;
pub(crate) mod directory;
pub(crate) mod keys;
pub(crate) mod media;
pub(crate) mod room_keys;
pub(crate) mod rooms;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod to_device;
