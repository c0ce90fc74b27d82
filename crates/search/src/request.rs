//! What is asked.

use myelin_sync_core::event_filter::EventFilter;
use ruma::OwnedRoomId;

use crate::document::{MESSAGE, NAME, TOPIC};
use crate::{GroupKey, Token};

/// The most results of one answer.
pub const MAX_RESULTS: usize = 100;

/// A search of the category `room_events`.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The words looked for: all of them, the last by its beginning.
    pub term: String,
    /// Where they are looked for.
    pub keys: Vec<Key>,
    /// Only these rooms, and those that they replaced.
    pub rooms: Option<Vec<OwnedRoomId>>,
    /// None of these rooms.
    pub not_rooms: Vec<OwnedRoomId>,
    /// Which events.
    pub events: EventFilter,
    /// How many results, at most [`MAX_RESULTS`].
    pub limit: usize,
    /// Which come first.
    pub order: Order,
    /// What is shown around each result; nothing where absent.
    pub context: Option<ContextRequest>,
    /// Whether the state of the results' rooms is shown.
    pub include_state: bool,
    /// By what the results are grouped.
    pub group_by: Vec<GroupKey>,
    /// Where an earlier answer ended.
    pub from: Option<Token>,
}

/// A key of an event that is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `content.body` of messages.
    Body,
    /// `content.name` of `m.room.name`.
    Name,
    /// `content.topic` of `m.room.topic`, and its plain text in `m.topic`.
    Topic,
}

impl Key {
    /// Every key.
    pub const ALL: [Self; 3] = [Self::Body, Self::Name, Self::Topic];

    /// The type of the events that have it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Body => MESSAGE,
            Self::Name => NAME,
            Self::Topic => TOPIC,
        }
    }
}

/// Which results come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Those that match closest.
    Rank,
    /// Those that this server learnt of last.
    Recent,
}

/// What is shown around a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextRequest {
    /// How many events before it, at most [`crate::MAX_CONTEXT`].
    pub before: usize,
    /// How many after it, at most [`crate::MAX_CONTEXT`].
    pub after: usize,
    /// Whether the senders' profiles as they were then are shown.
    pub include_profile: bool,
}
