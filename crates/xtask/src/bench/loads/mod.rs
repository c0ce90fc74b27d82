//! The loads. One file a load; a new one is a module and an entry in [`ALL`].

mod arrival;
mod create_room;
mod delays;
mod fan_out;
mod first_rooms;
mod history;
mod members;
mod memory;
mod pages;
mod refreshes;
mod room_list;
mod send;
mod senders;
mod sign_ins;
mod start;
mod token_check;
mod v3_rooms;
mod waiting;

use std::{path::Path, time::Duration};

use anyhow::Result;

use super::{
    accounts::Accounts,
    homeserver::{Homeserver, Program},
    measure::Sample,
};

/// Something asked of a server, again and again.
pub(crate) struct Load {
    /// How it is chosen on the command line.
    pub(crate) name: &'static str,
    /// What it is called in tables.
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) goal: Goal,
    pub(crate) writes: Writes,
    /// Makes what the rounds need, once a server, outside of what is measured.
    pub(crate) prepare: for<'a> fn(&'a Site<'a>) -> Result<Prepared<'a>>,
}

/// What figures are given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Less is better.
    Milliseconds,
    /// Less is better.
    Microseconds,
    /// Less is better.
    Megabytes,
    /// Less is better.
    Kilobytes,
    /// More is better.
    EventsPerSecond,
    /// More is better.
    RequestsPerSecond,
    /// Time of one processor, in the hundredth part. Less is better.
    PercentOfCore,
    /// How many times as much. Less is better.
    Times,
}

/// What Myelin is to reach on two cores.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// One `fdatasync` of this disk and so many milliseconds.
    FsyncAnd(f64),
    None,
}

/// Whether the requests of a load are acknowledged writes, whose cost on the disk is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    EachRequest,
    Nothing,
}

/// Where a load is run.
pub(crate) struct Site<'a> {
    /// The server, which runs for all loads.
    pub(crate) server: &'a Homeserver,
    /// How to start another of its kind; `None` for a server that runs elsewhere.
    pub(crate) program: Option<&'a dyn Program>,
    /// A folder for this server's data.
    pub(crate) folder: &'a Path,
    pub(crate) sizes: &'a Sizes,
    pub(crate) accounts: &'a Accounts,
}

/// What [`Load::prepare`] made.
pub(crate) enum Prepared<'a> {
    /// One round a call.
    Rounds(Box<dyn FnMut() -> Result<Sample> + 'a>),
    /// This load can't be run here, for this reason.
    Absent(&'static str),
}

/// How much of everything.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    /// Rooms created in a round.
    pub(crate) rooms: usize,
    /// Messages sent in sequence in a round.
    pub(crate) messages: usize,
    /// Users that send at once.
    pub(crate) senders: usize,
    /// How long they send in a round.
    pub(crate) sending: Duration,
    /// Clients that wait in a sync.
    pub(crate) waiting: usize,
    /// Messages they wait for in a round.
    pub(crate) arrivals: usize,
    /// How long they are given until all of them wait.
    pub(crate) settling: Duration,
    /// Members of a large room.
    pub(crate) members: usize,
    /// Times these are asked for in a round.
    pub(crate) lists: usize,
    /// Messages in a long history.
    pub(crate) history: usize,
    /// How long the history is read in a round; it is always read to its beginning.
    pub(crate) reading: Duration,
    /// Callers who keep delayed events waiting.
    pub(crate) callers: usize,
    /// Rooms of a server that is started.
    pub(crate) rooms_at_start: usize,
    /// Rooms of a small, a common and a large account.
    pub(crate) accounts: [usize; 3],
    /// Requests of such an account in a round.
    pub(crate) syncs: usize,
    /// Users whose connections wait, and how many connections each of them has.
    pub(crate) idle: (usize, usize),
    /// The same of those in one large room.
    pub(crate) crowd: (usize, usize),
    /// People who log in by OAuth 2.0, and with how many devices each.
    pub(crate) sessions: (usize, usize),
    /// How many requests show a token in a round.
    pub(crate) checks: usize,
    /// People who log in with a password at once.
    pub(crate) sign_ins: usize,
    /// Pages opened in a round.
    pub(crate) pages: usize,
}

impl Sizes {
    /// What is published.
    pub(crate) const FULL: Self = Self {
        rooms: 50,
        messages: 200,
        senders: 32,
        sending: Duration::from_secs(3),
        waiting: 50,
        arrivals: 10,
        settling: Duration::from_millis(300),
        members: 1000,
        lists: 50,
        history: 3000,
        reading: Duration::from_secs(1),
        callers: 200,
        rooms_at_start: 1000,
        accounts: [200, 1000, 10_000],
        syncs: 30,
        idle: (1000, 10),
        crowd: (500, 10),
        sessions: (100, 1000),
        checks: 3000,
        sign_ins: 200,
        pages: 200,
    };

    /// Enough to see that everything runs.
    pub(crate) const QUICK: Self = Self {
        rooms: 5,
        messages: 20,
        senders: 8,
        sending: Duration::from_millis(300),
        waiting: 10,
        arrivals: 2,
        settling: Duration::from_millis(300),
        members: 50,
        lists: 5,
        history: 200,
        reading: Duration::ZERO,
        callers: 10,
        rooms_at_start: 20,
        accounts: [10, 30, 60],
        syncs: 5,
        idle: (10, 5),
        crowd: (10, 5),
        sessions: (4, 5),
        checks: 20,
        sign_ins: 5,
        pages: 5,
    };
}

/// All loads, in the order in which they are run. What measures a server at rest comes first and last.
pub(crate) const ALL: &[Load] = &[
    start::EMPTY,
    start::WITH_ROOMS,
    memory::IDLE,
    create_room::LOAD,
    send::LOAD,
    senders::ONE_ROOM,
    senders::MANY_ROOMS,
    arrival::SYNC,
    arrival::SLIDING_SYNC,
    members::LOAD,
    history::LOAD,
    delays::LOAD,
    first_rooms::WARM,
    first_rooms::COLD,
    first_rooms::LARGE_WARM,
    first_rooms::LARGE_COLD,
    room_list::GROWN,
    room_list::NOTHING_NEW,
    room_list::ONE_EVENT,
    v3_rooms::COLD,
    v3_rooms::NOTHING_NEW,
    waiting::LOAD,
    fan_out::COST,
    fan_out::OTHERS,
    token_check::LOAD,
    refreshes::LOAD,
    sign_ins::OTHERS,
    pages::SIZE,
    pages::TIME,
    memory::AFTER,
];

impl Unit {
    /// As it is written behind a figure.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Megabytes => "MB",
            Self::Kilobytes => "KB",
            Self::Times => "times",
            Self::EventsPerSecond => "events/s",
            Self::RequestsPerSecond => "requests/s",
            Self::PercentOfCore => "% of a core",
        }
    }

    /// How many times better the first figure is than the second.
    pub(crate) fn ratio(self, first: f64, second: f64) -> f64 {
        match self {
            Self::EventsPerSecond | Self::RequestsPerSecond => first / second,
            Self::Milliseconds
            | Self::Microseconds
            | Self::Megabytes
            | Self::Kilobytes
            | Self::PercentOfCore
            | Self::Times => second / first,
        }
    }
}

impl Goal {
    /// Whether a figure reaches it, where there is a goal. `fsync` is the time of one, in milliseconds.
    pub(crate) fn is_met(self, value: f64, fsync: f64) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(value <= most),
            Self::AtLeast(least) => Some(value >= least),
            Self::FsyncAnd(more) => Some(value <= fsync + more),
            Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_is_better_whatever_the_unit() {
        assert_eq!(Unit::Milliseconds.ratio(2.0, 8.0), 4.0);
        assert_eq!(Unit::EventsPerSecond.ratio(8.0, 2.0), 4.0);
    }

    #[test]
    fn a_goal_with_a_wait_for_the_disk_moves_with_the_disk() {
        assert_eq!(Goal::FsyncAnd(1.0).is_met(2.5, 1.6), Some(true));
        assert_eq!(Goal::FsyncAnd(1.0).is_met(2.5, 1.4), Some(false));
        assert_eq!(Goal::None.is_met(2.5, 1.4), None);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ALL.iter().map(|load| load.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
