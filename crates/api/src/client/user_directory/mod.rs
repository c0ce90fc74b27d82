//! Finding users, and what is shared with them.

pub(crate) mod mutual_rooms;
pub(crate) mod search;
