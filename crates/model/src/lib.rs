//! Plain domain types shared by every layer above L0: interned ids, log positions, shards, topics.
//!
//! Nothing here does anything; the types exist so that a position can't be passed where an id is meant.

mod glob;
mod nid;
mod pos;
mod push_rules;
mod requester;
mod shard;
mod topic;

pub use glob::{GlobSet, glob_matches};
pub use nid::{EventNid, RoomNid};
pub use pos::Pos;
pub use push_rules::default_push_rules;
pub use requester::Requester;
pub use shard::{Epoch, Fence, SHARDS, Shard};
pub use topic::Topic;

/// The localpart of the user by whom the server itself speaks (server notices). No account bears it.
pub const NOTICE_SENDER: &str = "_server";
