//! What a commit was about, for those who wait.

use std::sync::Arc;

use crate::RoomNid;

/// Something that readers wait on. A batch names the topics it touches; the engine announces them after the commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The room's timeline, state, receipts or typing changed: everyone in the room may have something new.
    Room(RoomNid),
    /// Something of this user's own changed: account data, membership, to-device inbox, devices, keys.
    User(Arc<str>),
}

impl Topic {
    /// The topic of one user.
    #[must_use]
    pub fn user(user_id: &str) -> Self {
        Self::User(user_id.into())
    }
}
