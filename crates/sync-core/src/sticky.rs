//! Which sticky events an answer has (MSC4354, MSC4480), and how far a client has been told.
//!
//! For each user, the sticky events of all their rooms stand in one line: an event has its *turn* when it came, or when
//! the user joined the room, whichever is later; so all of a room's have theirs when it is joined. A client has been told
//! everything up to a mark in that line, however it is cut into answers. What a client is told hangs on nothing but its
//! mark, so an answer that is lost is made again, and a restart loses nothing.

mod token;

use std::collections::BTreeMap;

pub use self::token::StickyToken;
pub(crate) use self::token::mark as sticky_mark;
use crate::rooms::RoomKey;

/// The most rooms that a token says a client is behind in. What happens in more than these is told though the client has
/// not asked for it: once too often rather than never.
pub const MAX_BEHIND: usize = 256;

/// A place in a user's line of sticky events: after the event that has its turn there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StickyMark {
    /// The position at which the event has its turn.
    pub turn: i64,
    /// The position of the event itself.
    pub pos: i64,
}

impl StickyMark {
    /// After everything that has its turn up to a position.
    #[must_use]
    pub const fn at(position: i64) -> Self {
        Self { turn: position, pos: position }
    }

    /// Whatever has its turn after the mark is in a room in which something happened after this position.
    #[must_use]
    pub const fn near(&self) -> i64 {
        if self.pos < self.turn { self.turn - 1 } else { self.turn }
    }
}

/// A room that a user is in and that has sticky events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StickyCandidate {
    /// The room.
    pub room: RoomKey,
    /// When the user's membership last changed in whatever way: they did not join later.
    pub member_changed: i64,
    /// Whether the client asks for it.
    pub wanted: bool,
    /// The client is shown the room for the first time and is told everything again: it may have had no place for what it
    /// was told before it knew the room.
    pub is_new: bool,
}

/// A room whose events may have their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StickyRoom {
    /// The room.
    pub room: RoomKey,
    /// Up to where it was told.
    pub after: StickyMark,
    /// When the user joined it; may be left at 0 unless [`StickyRoom::needs_join`].
    pub joined: i64,
    member_changed: i64,
}

impl StickyRoom {
    /// Whether it must be known when the user joined.
    #[must_use]
    pub const fn needs_join(&self) -> bool {
        self.member_changed >= self.after.turn
    }

    /// The events after this position have their turn, and no others.
    #[must_use]
    pub const fn from(&self) -> i64 {
        match () {
            () if self.joined > self.after.turn => 0,
            () if self.joined == self.after.turn => self.after.pos,
            () => self.after.turn,
        }
    }

    fn mark(&self, pos: i64) -> StickyMark {
        StickyMark { turn: pos.max(self.joined), pos }
    }
}

/// What was read of a room: events after [`StickyRoom::from`], earliest first.
#[derive(Clone, Debug)]
pub struct StickyRows<T> {
    /// Each with its position; without a value where it is not to be told (it is sticky no more, its sender is ignored).
    pub rows: Vec<(i64, Option<T>)>,
    /// There are no more.
    pub complete: bool,
}

/// The events of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StickyPage<T> {
    /// In the order of their turns.
    pub events: Vec<(RoomKey, T)>,
    /// Up to where the rooms were told; nothing where there is no more.
    pub end: Option<StickyMark>,
}

impl<T> StickyPage<T> {
    /// The first events of what was read, at most so many.
    #[must_use]
    pub fn cut(read: Vec<(StickyRoom, StickyRows<T>)>, most: usize) -> Self {
        let known = |(room, read): &(StickyRoom, StickyRows<T>)| {
            let last = read.rows.last().map_or_else(|| room.from(), |(pos, _)| *pos);
            (!read.complete).then(|| room.mark(last))
        };
        let end = read.iter().filter_map(known).min();
        let mut line: Vec<(StickyMark, RoomKey, T)> = Vec::new();
        for (room, read) in read {
            let live =
                read.rows.into_iter().filter_map(|(pos, event)| Some((room.mark(pos), room.room, event?)));
            line.extend(live.filter(|(mark, ..)| end.is_none_or(|end| *mark <= end)));
        }
        line.sort_by_key(|(mark, room, _)| (*mark, *room));
        let more = line.len() > most;
        line.truncate(most);
        let last = line.last().map(|(mark, ..)| *mark).filter(|_| more);
        let events = line.into_iter().map(|(_, room, event)| (room, event)).collect();
        Self { events, end: last.or(end) }
    }
}

/// What is to be read for an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StickyPlan {
    /// The rooms to read.
    pub rooms: Vec<StickyRoom>,
    /// The rooms that the client does not ask for now, with where it stands in each.
    passed: BTreeMap<RoomKey, StickyMark>,
}

impl StickyToken {
    /// What is to be read, of the rooms with sticky events that the user is in. They must include those in which something
    /// happened after [`StickyMark::near`], those that the token says the client is behind in, and those that are new to it.
    #[must_use]
    pub fn plan(&self, candidates: impl IntoIterator<Item = StickyCandidate>) -> StickyPlan {
        let mut plan = StickyPlan::default();
        for StickyCandidate { room, member_changed, wanted, is_new } in candidates {
            let behind = self.behind.get(&room).copied();
            let after = behind.unwrap_or(self.mark);
            let after = if is_new { StickyMark::default() } else { after };
            if wanted || (behind.is_none() && plan.passed.len() + self.behind.len() >= MAX_BEHIND) {
                plan.rooms.push(StickyRoom { room, after, joined: 0, member_changed });
            } else {
                plan.passed.insert(room, after);
            }
        }
        plan
    }

    /// Where the client stands after an answer about the log up to `position`, given where the page ended.
    #[must_use]
    pub fn next(&self, plan: StickyPlan, end: Option<StickyMark>, position: i64) -> Self {
        let mark = end.map_or(StickyMark::at(position), |end| end.max(self.mark));
        let mut behind = plan.passed;
        if let Some(end) = end.filter(|end| *end < self.mark) {
            // Only rooms that the client was behind in, or that are new to it, have got on. What new ones have no place for
            // was told once before.
            let got_on = plan.rooms.iter().filter(|room| room.after < self.mark);
            let (owed, again): (Vec<&StickyRoom>, Vec<_>) =
                got_on.partition(|room| self.behind.contains_key(&room.room));
            let places = MAX_BEHIND.saturating_sub(behind.len() + owed.len());
            let kept = owed.into_iter().chain(again.into_iter().take(places));
            behind.extend(kept.map(|room| (room.room, room.after.max(end))));
        }
        Self { mark, behind }
    }
}
