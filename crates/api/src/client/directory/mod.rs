//! Room aliases and the public directory.

pub(crate) mod alias;
pub(crate) mod public_rooms;
pub(crate) mod visibility;
