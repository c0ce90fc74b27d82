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
    /// Where what was sent of it is not known for certain: up to where it is.
    #[serde(default)]
    pub(super) certain: Option<i64>,
    /// Where not all rooms that the user left could be told: after which position they may have left them.
    #[serde(default)]
    pub(super) left_after: Option<i64>,
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
    /// What of account data was not followed, though it was sent before.
    #[serde(default)]
    pub missed_account_data: Missed,
    /// What of device lists was not followed.
    #[serde(default)]
    pub missed_devices: Missed,
}

impl Globals {
    /// The position after which a client that follows changes is to be told of them. What it was told or did not want in
    /// answers that a server which was killed did not remember is told again.
    #[must_use]
    pub fn told(&self) -> i64 {
        self.certain.unwrap_or(self.position)
    }
}

/// From where on a client that follows changes has not been told of them, because it did not want them for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missed {
    /// It was told of all.
    #[default]
    Nothing,
    /// It was told up to this position.
    After(i64),
    /// It never was told of any.
    All,
}

impl Missed {
    /// The position after which changes are to be told now, given the one that the connection has come to; none where
    /// the client begins to follow.
    #[must_use]
    pub fn since(self, position: i64) -> Option<i64> {
        match self {
            Self::Nothing => Some(position),
            Self::After(since) => Some(since.min(position)),
            Self::All => None,
        }
    }

    /// What is missed when they are not told now either.
    #[must_use]
    pub fn more(self, seen: &Globals) -> Self {
        match self {
            Self::Nothing if seen.answer == 0 => Self::All,
            Self::Nothing => Self::After(seen.told()),
            missed => missed,
        }
    }
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
