//! The client-server API, by area.

pub(crate) mod account;
pub(crate) mod account_data;
pub(crate) mod delayed;
pub(crate) mod device;
pub(crate) mod directory;
pub(crate) mod filters;
pub(crate) mod keys;
pub(crate) mod media;
pub(crate) mod notifications;
pub(crate) mod openid;
pub(crate) mod presence;
pub(crate) mod profile;
pub(crate) mod push_rules;
pub(crate) mod pushers;
pub(crate) mod receipts;
pub(crate) mod reports;
pub(crate) mod room_keys;
pub(crate) mod rooms;
pub(crate) mod search;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod sync;
pub(crate) mod threads;
pub(crate) mod to_device;
pub(crate) mod user_directory;
pub(crate) mod voip;
