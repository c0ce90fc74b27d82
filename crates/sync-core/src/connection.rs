//! What a connection of sliding sync remembers, and what each room is therefore due.
//!
//! A connection knows two states: what the client has *seen* (the answer whose `pos` it last came back with), and what
//! it would have seen with the one answer after that, which may be lost. A client that repeats a `pos` is answered
//! from the first, so nothing depends on whether an answer arrived; a client that moves on makes the second the first.
//! Only the difference is kept, so that an answer costs what it contains.
//!
//! **Invariant.** What is remembered never runs ahead of what the client has seen. What is stored of it may be older:
//! each `pos` carries what of it is not stored yet, so that a client goes on after a restart where it stood (`stored`).

mod sent;
mod stored;

pub use sent::{Globals, Missed, ProfilesSent, RoomSent};
pub use stored::StoredConnection;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::config::{RequiredState, RoomConfig};
use crate::lazy::LazyMembers;
use crate::rooms::{RoomEntry, RoomKey, RoomList, Standing};
use crate::token::ConnectionPos;
use crate::window::Window;

/// The most rooms of one answer. What is left over is due at once in the next one.
pub const MAX_ROOMS_PER_ANSWER: usize = 500;

/// The `pos` is not of this connection, or of an answer too old to go on from: 400 `M_UNKNOWN_POS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pos is unknown or has expired; start again without one")]
pub struct UnknownPos;

/// One connection.
#[derive(Clone, Debug)]
pub struct Connection {
    nonce: u64,
    seen: Globals,
    rooms: FxHashMap<RoomKey, RoomSent>,
    configs: Configs,
    sent: Option<(Globals, FxHashMap<RoomKey, RoomSent>)>,
    answers: u64,
    unwritten: stored::Unwritten,
    /// The state was restored, and no answer was seen since: the client may be ahead of it.
    behind: bool,
    /// It was restored once: the client may have rooms that it does not know of.
    forgetful: bool,
}

/// The wishes that rooms were sent under, each kept once.
#[derive(Clone, Debug, Default)]
struct Configs {
    next: u32,
    known: BTreeMap<u32, Arc<RoomConfig>>,
}

/// How many wishes are kept before those that no room uses are dropped.
const CONFIGS_BEFORE_PRUNING: usize = 64;

/// A room that the next answer must contain, and what of it.
#[derive(Clone, Debug)]
pub struct RoomDue {
    /// The room.
    pub room: RoomKey,
    /// How the user stands to it.
    pub standing: Standing,
    /// What is wanted of it.
    pub config: Arc<RoomConfig>,
    /// What was sent of it before, if the answer builds on that; `None` asks for everything (`initial`).
    pub known: Option<RoomSent>,
    /// The client wants a longer timeline than it has: show the newest events, even if sent before
    /// (`unstable_expanded_timeline`).
    pub widen: bool,
    /// State that is wanted now and was not before.
    pub new_state: Option<RequiredState>,
    entry: RoomEntry,
}

impl RoomDue {
    /// Everything after this position is new to the client.
    #[must_use]
    pub fn since(&self) -> i64 {
        self.known.as_ref().map_or(0, |known| known.up_to)
    }

    /// Whether the client must be told that it is (no) direct chat.
    #[must_use]
    pub fn told_is_dm(&self) -> Option<bool> {
        match &self.known {
            Some(known) => (known.is_dm != self.entry.is_dm).then_some(self.entry.is_dm),
            None => Some(self.entry.is_dm),
        }
    }
}

/// What the next answer must contain.
#[derive(Debug)]
pub struct Plan {
    /// The rooms.
    pub due: Vec<RoomDue>,
    /// Where there is no place for all rooms that the user has left: after which position those were left that are to be told
    /// in the next answer.
    pub left_after: Option<i64>,
}

/// What was written into an answer of a room's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimelineSent {
    /// The newest events, as many as wanted; there may be a gap before them.
    Newest,
    /// So many new events, without a gap to those before.
    Continued(u32),
}

/// An answer in the making: what the connection will remember of it.
#[derive(Debug)]
pub struct Progress {
    globals: Globals,
    rooms: FxHashMap<RoomKey, RoomSent>,
}

impl Connection {
    /// A new connection. The nonce must not be guessable.
    #[must_use]
    pub fn new(nonce: u64) -> Self {
        Self {
            nonce,
            seen: Globals::default(),
            rooms: FxHashMap::default(),
            configs: Configs::default(),
            sent: None,
            answers: 0,
            unwritten: stored::Unwritten::default(),
            behind: false,
            forgetful: false,
        }
    }

    /// What was last seen by the client and belongs to no room.
    #[must_use]
    pub fn seen(&self) -> &Globals {
        &self.seen
    }

    /// Whether the client has seen no answer yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.seen.answer == 0
    }

    /// What the client has seen of a room.
    #[must_use]
    pub fn room(&self, room: RoomKey) -> Option<&RoomSent> {
        self.rooms.get(&room)
    }

    /// How many rooms it remembers.
    #[must_use]
    pub fn rooms_len(&self) -> usize {
        self.rooms.len()
    }

    /// Goes on from what the client says it has seen.
    ///
    /// # Errors
    /// When the connection has no such answer, or one followed whose `pos` was used already.
    pub fn resume(&mut self, pos: &ConnectionPos) -> Result<(), UnknownPos> {
        if pos.nonce != self.nonce {
            return Err(UnknownPos);
        }
        let sent = self.sent.take();
        match sent {
            Some((globals, rooms)) if globals.answer == pos.answer => {
                self.confirm(globals, rooms);
                self.behind = false;
                Ok(())
            }
            _ if pos.answer == self.seen.answer => Ok(()),
            _ if self.behind && pos.answer > self.seen.answer && sent.is_none() => {
                self.catch_up(pos);
                Ok(())
            }
            sent => {
                self.sent = sent;
                Err(UnknownPos)
            }
        }
    }

    /// What the next answer must contain, newest rooms first.
    #[must_use]
    pub fn plan(&self, rooms: &RoomList, window: &Window) -> Plan {
        let left_after = self.seen.left_after.unwrap_or(self.seen.position);
        let mut due = Vec::new();
        // Rooms share their wishes, so that each is compared with those known once and not for every room.
        let mut last: Option<(&Arc<RoomConfig>, Option<u32>)> = None;
        for wish in &window.rooms {
            if due.len() >= MAX_ROOMS_PER_ANSWER {
                return Plan { due, left_after: Some(left_after) };
            }
            let number = match last {
                Some((config, number)) if Arc::ptr_eq(config, &wish.config) => number,
                _ => self.configs.find(&wish.config),
            };
            last = Some((&wish.config, number));
            due.extend(self.room_due(wish.room, &wish.entry, &wish.config, number));
        }
        // A room that the client has and the user has left since is told of, whichever list it would be in.
        let known = !self.rooms.is_empty() || self.forgetful;
        let mut wanted: Option<HashSet<RoomKey>> = None;
        for (room, entry) in rooms.changed_after(left_after).take_while(|_| known) {
            if !matches!(entry.standing, Standing::Left | Standing::Removed) {
                continue;
            }
            let wanted = wanted.get_or_insert_with(|| window.rooms.iter().map(|wish| wish.room).collect());
            if wanted.contains(&room) {
                continue;
            }
            if due.len() >= MAX_ROOMS_PER_ANSWER {
                return Plan { due, left_after: Some(left_after) };
            }
            match self.rooms.get(&room) {
                Some(known) if known.standing != entry.standing || known.joined_at != entry.joined_at => {
                    let config = self.configs.known.get(&known.config).cloned().unwrap_or_default();
                    due.extend(self.room_due(room, &entry, &config, Some(known.config)));
                }
                None if self.forgetful => due.extend(self.room_due(room, &entry, &Arc::default(), None)),
                _ => {}
            }
        }
        Plan { due, left_after: None }
    }

    /// What the room is due, if anything. Costs no allocation where nothing is: it is asked for every room of a window.
    /// `number` is the wish's, where it is known.
    fn room_due(
        &self,
        room: RoomKey,
        entry: &RoomEntry,
        config: &Arc<RoomConfig>,
        number: Option<u32>,
    ) -> Option<RoomDue> {
        let due = |known, widen, new_state| RoomDue {
            room,
            standing: entry.standing,
            config: Arc::clone(config),
            known,
            widen,
            new_state,
            entry: entry.clone(),
        };
        let Some(known) = self.rooms.get(&room) else { return Some(due(None, false, None)) };
        let came = !matches!(entry.standing, Standing::Left | Standing::Removed);
        // What happened between two stays is not in what the client has, and not marked as a gap.
        let another_stay = known.joined_at != entry.joined_at || (came && known.standing != entry.standing);
        // Of a room known by stripped state only, the client has no timeline that could go on.
        if another_stay || (known.standing.is_stripped() && !entry.standing.is_stripped()) {
            return Some(due(None, false, None));
        }
        // Of a room that is left, only the leaving is told.
        let grows = came && !entry.standing.is_stripped();
        let same = number == Some(known.config);
        let new_state = if grows && !same { self.new_state(known, config) } else { None };
        let widen = grows && config.timeline_limit > known.covered;
        let read = entry.standing == Standing::Joined && entry.read_at > known.up_to;
        let changed = entry.changed > known.up_to || read || known.standing != entry.standing;
        let is_due = changed || widen || new_state.is_some() || known.is_dm != entry.is_dm;
        is_due.then(|| due(Some(known.clone()), widen, new_state))
    }

    /// State that is wanted now and was not when the room was sent.
    fn new_state(&self, known: &RoomSent, config: &Arc<RoomConfig>) -> Option<RequiredState> {
        match self.configs.known.get(&known.config) {
            Some(old) => config.required_state.beyond(&old.required_state),
            None => config.required_state.beyond(&RequiredState::default()),
        }
    }

    /// Begins an answer about the log up to `position`, as planned with `left_after`.
    #[must_use]
    pub fn begin(&self, position: i64, left_after: Option<i64>) -> Progress {
        let globals = Globals { position, left_after, certain: None, ..self.seen };
        Progress { globals, rooms: FxHashMap::default() }
    }

    /// Notes that a room was written into the answer.
    pub fn sent(
        &mut self,
        progress: &mut Progress,
        due: &RoomDue,
        timeline: TimelineSent,
        lazy: LazyMembers,
    ) {
        let limit = due.config.timeline_limit;
        let before = due.known.as_ref();
        let covered = match timeline {
            TimelineSent::Newest => limit,
            TimelineSent::Continued(new) => before.map_or(0, |known| known.covered).saturating_add(new),
        };
        // Where the wish shrinks, the client keeps what it has and is sent its changes while the room is wanted.
        let sent = RoomSent {
            up_to: progress.globals.position,
            standing: due.entry.standing,
            joined_at: due.entry.joined_at,
            is_dm: due.entry.is_dm,
            config: self.configs.number(&due.config),
            covered,
            lazy,
            account_data: before.is_some_and(|known| known.account_data),
            receipts: before.map_or(0, |known| known.receipts),
            profiles: before.map_or(0, |known| known.profiles),
        };
        progress.rooms.insert(due.room, sent);
    }

    /// What will be remembered of a room as far as it is known by now; `None` if the client does not have the room.
    pub fn noted<'p>(&'p self, progress: &'p Progress, room: RoomKey) -> Option<&'p RoomSent> {
        progress.rooms.get(&room).or_else(|| self.rooms.get(&room))
    }

    /// What will be remembered of a room, to be changed by extensions; `None` if the client does not have the room.
    pub fn progress_of<'p>(&self, progress: &'p mut Progress, room: RoomKey) -> Option<&'p mut RoomSent> {
        match progress.rooms.entry(room) {
            Entry::Occupied(noted) => Some(noted.into_mut()),
            Entry::Vacant(empty) => Some(empty.insert(self.rooms.get(&room)?.clone())),
        }
    }

    /// Ends an answer: remembers it as sent, and answers the `pos` that names it.
    pub fn finish(&mut self, progress: Progress) -> ConnectionPos {
        self.answers += 1;
        let globals = Globals { answer: self.answers, ..progress.globals };
        let carried = self.carried(globals.position, &progress.rooms);
        self.sent = Some((globals, progress.rooms));
        if self.configs.known.len() > CONFIGS_BEFORE_PRUNING {
            self.prune_configs();
        }
        ConnectionPos { position: globals.position, nonce: self.nonce, answer: self.answers, carried }
    }

    fn prune_configs(&mut self) {
        let sent = self.sent.iter().flat_map(|(_, rooms)| rooms.values());
        let used: HashSet<u32> = self.rooms.values().chain(sent).map(|room| room.config).collect();
        self.configs.known.retain(|number, _| used.contains(number));
    }
}

impl Progress {
    /// What belongs to no room, to be changed by extensions.
    pub fn globals(&mut self) -> &mut Globals {
        &mut self.globals
    }
}

impl Configs {
    fn find(&self, config: &Arc<RoomConfig>) -> Option<u32> {
        let same = self.known.iter().find(|(_, known)| Arc::ptr_eq(known, config));
        let known = same.or_else(|| self.known.iter().rev().find(|(_, known)| *known == config));
        known.map(|(number, _)| *number)
    }

    fn number(&mut self, config: &Arc<RoomConfig>) -> u32 {
        if let Some(number) = self.find(config) {
            return number;
        }
        self.next = self.next.wrapping_add(1);
        self.known.insert(self.next, Arc::clone(config));
        self.next
    }
}
