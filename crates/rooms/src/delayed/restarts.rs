//! Restarts that are answered from memory: the callers of a call restart theirs every few seconds, and a commit for each
//! would be most of what a quiet server does.
//!
//! The first restart of an event is written before it is answered, and marks the event as one that lives on restarts. From
//! then on its time runs here, and is written behind, for all events together. So that a restart that was answered counts
//! after a crash too, one is answered from here only within [`SLACK`] of the last that was written: whoever starts with a
//! written time knows the latest that it can have become, and waits for that ([`due_after_start`]).
//!
//! Whoever ends an event in the store first takes it from here. What is taken is restarted by a commit again, which
//! the store refuses where the event has ended; so a restart that is answered found the event waiting.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use myelin_model::Shard;
use myelin_store::schema::delayed::{DelayStatus, DelayedEvent};
use ruma::{OwnedUserId, UserId};

/// By how much an event that was restarted may be sent late after a crash, in milliseconds, and how long it waits for a
/// restart after each start: what MSC4140 lets a server add to a time.
pub(super) const SLACK: i64 = 30_000;
/// The most events whose time runs here, about 200 bytes each; of more, each restart is a commit.
const MOST: usize = 65_536;

/// An event whose time runs here.
#[derive(Debug)]
struct Running {
    due: i64,
    /// `due` as it is in the store.
    written: i64,
    delay: i64,
    owner: OwnedUserId,
    room: Shard,
    /// Whether somebody is about to end the event, or was and it is not known how that went.
    taken: bool,
}

impl Running {
    fn is_unwritten(&self) -> bool {
        !self.taken && self.due != self.written
    }
}

/// A time that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unwritten {
    pub(super) delay_id: String,
    pub(super) room: Shard,
    /// The time that the store has.
    pub(super) written: i64,
    pub(super) due: i64,
}

/// How a restart went here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InMemory {
    /// It has to be written before it is answered.
    No,
    /// It is done, and will be written with others.
    Yes,
    /// It is done, and is the first that waits to be written.
    First,
}

/// All events whose time runs in memory.
#[derive(Debug)]
pub(super) struct Restarts {
    /// When the server started, in milliseconds since 1970.
    started: i64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<String, Running>,
    has_unwritten: bool,
    /// The server stops: what is not written soon, nobody writes.
    closed: bool,
}

impl Restarts {
    pub(super) fn new(started: i64) -> Self {
        Self { started, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the delay anew from `now`, if that can be done here.
    pub(super) fn restart(&self, delay_id: &str, owner: Option<&UserId>, now: i64) -> InMemory {
        let mut state = self.lock();
        let State { running, has_unwritten, closed } = &mut *state;
        let running = running.get_mut(delay_id).filter(|running| {
            let last_written = running.written.saturating_sub(running.delay);
            let is_owner = owner.is_none_or(|owner| running.owner == owner);
            is_owner && !running.taken && !*closed && now < last_written.saturating_add(SLACK)
        });
        let Some(running) = running else { return InMemory::No };
        running.due = now.saturating_add(running.delay);
        if std::mem::replace(has_unwritten, true) { InMemory::Yes } else { InMemory::First }
    }

    /// When a row's event is to be sent.
    pub(super) fn due(&self, row: &DelayedEvent) -> i64 {
        self.lock().due(row, self.started)
    }

    /// Lets a row's time run here from now on: it was restarted and written just now.
    pub(super) fn run(&self, row: &DelayedEvent) {
        let mut state = self.lock();
        if state.running.len() >= MOST && !state.running.contains_key(&row.delay_id) {
            return;
        }
        let running = Running {
            due: row.due,
            written: row.due,
            delay: row.delay,
            owner: row.user_id.clone(),
            room: Shard::of(row.room_id.as_str()),
            taken: false,
        };
        state.running.insert(row.delay_id.clone(), running);
    }

    /// Takes an event from here before its row is changed, and says when it was to be sent.
    pub(super) fn take(&self, row: &DelayedEvent) -> i64 {
        let mut state = self.lock();
        let due = state.due(row, self.started);
        if let Some(running) = state.running.get_mut(&row.delay_id) {
            running.taken = true;
        }
        due
    }

    /// The same for one whose time has come, unless it was restarted just now.
    pub(super) fn take_due(&self, row: &DelayedEvent, now: i64) -> Option<i64> {
        let mut state = self.lock();
        let due = state.due(row, self.started);
        if due > now {
            return None;
        }
        if let Some(running) = state.running.get_mut(&row.delay_id) {
            running.taken = true;
        }
        Some(due)
    }

    /// Forgets an event that has ended.
    pub(super) fn forget(&self, delay_id: &str) {
        self.lock().running.remove(delay_id);
    }

    /// The times that are to be written.
    pub(super) fn unwritten(&self) -> Vec<Unwritten> {
        let mut state = self.lock();
        state.has_unwritten = false;
        let unwritten = state.running.iter().filter(|(_, running)| running.is_unwritten());
        let unwritten = unwritten.map(|(delay_id, running)| Unwritten {
            delay_id: delay_id.clone(),
            room: running.room,
            written: running.written,
            due: running.due,
        });
        unwritten.collect()
    }

    /// Notes what was written.
    pub(super) fn wrote(&self, times: &[Unwritten]) {
        let mut state = self.lock();
        for time in times {
            if let Some(running) = state.running.get_mut(&time.delay_id) {
                running.written = time.due;
            }
        }
    }

    /// Notes that some of these could not be written as expected, and what the store has instead.
    pub(super) fn correct(&self, times: &[Unwritten], rows: &[Option<DelayedEvent>]) {
        let mut state = self.lock();
        for (time, row) in times.iter().zip(rows) {
            match row {
                Some(row) if row.status == DelayStatus::Pending => {
                    if let Some(running) = state.running.get_mut(&time.delay_id) {
                        running.written = row.due;
                        running.due = running.due.max(row.due);
                    }
                }
                _ => drop(state.running.remove(&time.delay_id)),
            }
        }
    }

    /// Notes that writing failed, so that it is tried again.
    pub(super) fn failed(&self) {
        self.lock().has_unwritten = true;
    }

    /// Whether something waits to be written.
    pub(super) fn has_unwritten(&self) -> bool {
        self.lock().has_unwritten
    }

    /// From now on every restart is written before it is answered.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }
}

impl State {
    fn due(&self, row: &DelayedEvent, started: i64) -> i64 {
        match (row.status, self.running.get(&row.delay_id)) {
            // A restart whose client went away may be written and not yet noted here.
            (DelayStatus::Pending, Some(running)) => running.due.max(row.due),
            (DelayStatus::Pending, None) => due_after_start(row, started),
            _ => row.due,
        }
    }
}

/// When an event is to be sent of which nothing is known but its row. One that lives on restarts is sent at the latest
/// time at which they can have left it, and not before its sender could restart it once more since the server is back.
fn due_after_start(row: &DelayedEvent, started: i64) -> i64 {
    if row.restarted.is_none() {
        return row.due;
    }
    let last_written = row.due.saturating_sub(row.delay);
    let last_possible = last_written.saturating_add(SLACK).min(started);
    let latest = last_possible.saturating_add(row.delay);
    row.due.max(latest).max(started.saturating_add(row.delay.min(SLACK)))
}

#[cfg(test)]
mod tests;
