//! What is stored of a connection, and what is not yet.
//!
//! Storing what every client has seen of every message would be a write for each of its readers. So a connection is
//! written behind, and what a client has seen beyond that travels in its `pos`: of each room that only went on, up to
//! where. Whatever else changes (a room that is new to the client, another wish, another standing) is rare and asks to be
//! written before the next answer ([`Connection::must_be_written`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{Deserialize, Serialize};

use super::{Configs, Connection, Globals, Missed, RoomSent};
use crate::config::RoomConfig;
use crate::rooms::RoomKey;
use crate::token::{Carried, ConnectionPos, MAX_CARRIED};

/// The seen state of a connection without its rooms, to be stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredConnection {
    nonce: u64,
    seen: Globals,
    configs: BTreeMap<u32, RoomConfig>,
}

/// What a client has seen that is not stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Unwritten {
    rooms: FxHashSet<RoomKey>,
    /// There is more to it than a `pos` can carry.
    urgent: bool,
}

impl Connection {
    /// What is to be stored of the connection itself. Rooms are stored one by one.
    #[must_use]
    pub fn to_stored(&self) -> StoredConnection {
        let configs = self.configs.known.iter().map(|(number, config)| (*number, (**config).clone()));
        StoredConnection { nonce: self.nonce, seen: self.seen, configs: configs.collect() }
    }

    /// The connection as it was stored, which may be older than what the client has seen since.
    #[must_use]
    pub fn restore(stored: StoredConnection, rooms: FxHashMap<RoomKey, RoomSent>) -> Self {
        let known: BTreeMap<u32, _> =
            stored.configs.into_iter().map(|(number, config)| (number, Arc::new(config))).collect();
        let next = known.keys().next_back().copied().unwrap_or_default();
        Self {
            seen: stored.seen,
            rooms,
            configs: Configs { next, known },
            answers: stored.seen.answer,
            behind: true,
            forgetful: true,
            ..Self::new(stored.nonce)
        }
    }

    /// The rooms of which the client has seen more than is stored.
    pub fn unwritten(&self) -> impl Iterator<Item = (RoomKey, &RoomSent)> {
        self.unwritten.rooms.iter().filter_map(|room| Some((*room, self.rooms.get(room)?)))
    }

    /// Whether the client has seen what no `pos` carries: it is to be stored before the next answer.
    #[must_use]
    pub fn must_be_written(&self) -> bool {
        self.unwritten.urgent
    }

    /// Notes that everything the client has seen is stored.
    pub fn was_written(&mut self) {
        self.unwritten = Unwritten::default();
    }

    /// The client has seen an answer.
    pub(super) fn confirm(&mut self, globals: Globals, rooms: FxHashMap<RoomKey, RoomSent>) {
        let moved_on = |(room, sent): (&RoomKey, &RoomSent)| {
            self.rooms.get(room).is_some_and(|before| sent.only_goes_on_from(before))
        };
        let same = globals.follows() == self.seen.follows();
        let goes_on = same && rooms.iter().all(moved_on);
        self.unwritten.rooms.extend(rooms.keys());
        self.unwritten.urgent |= !goes_on || self.unwritten.rooms.len() > MAX_CARRIED;
        self.seen = globals;
        self.rooms.extend(rooms);
    }

    /// The client is ahead of what was stored, by what its `pos` carries.
    pub(super) fn catch_up(&mut self, pos: &ConnectionPos) {
        // Whether it followed all that belongs to no room in the answers between is not known. What a client has before
        // the first answer, it has from there.
        if self.seen.answer > 0 {
            self.seen.certain = Some(self.seen.told());
        }
        self.seen.answer = pos.answer;
        self.seen.position = self.seen.position.max(pos.position);
        self.answers = self.answers.max(pos.answer);
        for (room, up_to) in pos.carried.iter() {
            if let Some(sent) = self.rooms.get_mut(&room) {
                sent.up_to = sent.up_to.max(up_to);
                self.unwritten.rooms.insert(room);
            }
        }
    }

    /// What a `pos` has to carry: the rooms that only went on since they were stored. What is left out, because there is
    /// more to it or because it does not fit, is repeated after a restart: of the answer that names the `pos`, and of none before.
    pub(super) fn carried(&self, position: i64, sent: &FxHashMap<RoomKey, RoomSent>) -> Carried {
        if self.unwritten.urgent {
            return Carried::default();
        }
        let goes_on = |room: &RoomKey, sent: &RoomSent| {
            self.rooms.get(room).is_some_and(|before| sent.only_goes_on_from(before))
        };
        let now = sent.iter().filter(|(room, sent)| goes_on(room, sent)).map(|(room, sent)| (*room, sent));
        let before = self.unwritten().filter(|(room, _)| !sent.contains_key(room));
        let up_to = |(room, sent): (RoomKey, &RoomSent)| (room, sent.up_to);
        Carried::new(position, before.map(up_to), now.map(up_to))
    }
}

impl Globals {
    /// What the client is sent changes of.
    fn follows(&self) -> (bool, bool, u64, [Missed; 2]) {
        let missed = [self.missed_account_data, self.missed_devices];
        (self.account_data, self.threads, self.profiles.turn, missed)
    }
}

impl RoomSent {
    /// Whether the client only saw more of the same: what else changed costs at most a repetition of state or receipts.
    fn only_goes_on_from(&self, before: &Self) -> bool {
        let Self {
            up_to: _,
            standing,
            joined_at,
            is_dm,
            config,
            covered,
            lazy: _,
            account_data,
            receipts: _,
            profiles: _,
        } = self;
        let same = (*standing, *joined_at, *is_dm, *config, *account_data)
            == (before.standing, before.joined_at, before.is_dm, before.config, before.account_data);
        same && *covered >= before.covered
    }
}
