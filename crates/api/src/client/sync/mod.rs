//! Sync: what is new.

pub(crate) mod all_rooms;
pub(crate) mod merged;
pub(crate) mod sliding;
