//! What a connection remembers of what it has sent.

use serde::{Deserialize, Serialize};

use crate::lazy::LazyMembers;
use crate::rooms::Standing;

/// What a connection has sent of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSent {
    /// The position up to which everything wanted of the room was sent.
    pub up_to: i64,
    /// How the user stood to it.
    pub standing: Standing,
    /// Which stay of the user in the room it was.
    pub joined_at: Option<i64>,
    /// Whether it was called a direct chat.
    pub is_dm: bool,
    /// What was wanted of it, by number.
    pub(super) config: u32,
    /// How many of its newest timeline events the client has without a gap, at least.
    pub covered: u32,
    /// The members it was sent, where they load lazily.
    #[serde(default)]
    pub lazy: LazyMembers,
    /// Whether its account data was sent; changes follow from then on.
    #[serde(default)]
    pub account_data: bool,
    /// The position up to which its receipts were sent; 0 if none were.
    #[serde(default)]
    pub receipts: i64,
    /// The turn of [`ProfilesSent`] in which the profiles of its people were sent; 0 if they were not.
    #[serde(default)]
    pub profiles: u64,
}

/// What belongs to no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Globals {
    /// The number of the answer; 0 before the first.
    pub answer: u64,
    /// The position of the log that it was about.
    pub position: i64,
    /// The counter of typing changes that was sent; it counts from 0 in each run of the server.
    #[serde(skip)]
    pub typing: u64,
    /// Whether global account data was sent; changes follow from then on.
    pub account_data: bool,
    /// Whether thread subscriptions were sent; changes follow from then on.
    #[serde(default)]
    pub threads: bool,
    /// What of profiles was sent.
    #[serde(default)]
    pub profiles: ProfilesSent,
}

/// How far a client follows the profiles of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfilesSent {
    /// Which fields it wants: a mark that another set has not; 0 if it wants none.
    pub fields: u64,
    /// How often it began to want other fields than before. The people of a room are sent once in each such turn.
    pub turn: u64,
    /// The position up to which changes were sent.
    pub up_to: i64,
}
