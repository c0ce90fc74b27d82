//! Everybody's presence, with a number for each change and the times of the next ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use ruma::{OwnedUserId, UserId};

use super::MAX_PRESENT;
use super::person::{Person, PresenceState, Shown};

#[derive(Default)]
pub(super) struct Book {
    /// The version of the last change.
    pub(super) version: u64,
    people: HashMap<OwnedUserId, Entry>,
    by_version: BTreeMap<u64, OwnedUserId>,
    /// The versions of those who are offline, who make place for others.
    offline: BTreeSet<u64>,
    deadlines: BTreeSet<(Duration, OwnedUserId)>,
}

#[derive(Default)]
struct Entry {
    person: Person,
    shown: Shown,
    version: u64,
    /// When it is looked at again. May be too early: it is not moved on with each sync.
    deadline: Option<Duration>,
}

impl Book {
    /// Changes a user who is known, or whom `make` says to make known.
    pub(super) fn change(
        &mut self,
        user_id: &UserId,
        now: Duration,
        make: bool,
        change: impl FnOnce(&mut Person),
    ) {
        if !self.people.contains_key(user_id) {
            if !make || (self.people.len() >= MAX_PRESENT && !self.forget_one()) {
                return;
            }
            self.people.insert(user_id.to_owned(), Entry::default());
        }
        if let Some(entry) = self.people.get_mut(user_id) {
            change(&mut entry.person);
        }
        self.settle(user_id, now);
    }

    /// Notes what time has changed.
    pub(super) fn settle_overdue(&mut self, now: Duration) {
        while self.deadlines.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, user_id)) = self.deadlines.pop_first() else { return };
            if let Some(entry) = self.people.get_mut(&user_id) {
                entry.deadline = None;
            }
            self.settle(&user_id, now);
        }
    }

    fn settle(&mut self, user_id: &UserId, now: Duration) {
        let Some(entry) = self.people.get_mut(user_id) else { return };
        entry.person.forget_gone(now);
        let shown = entry.person.shown(now);
        if shown != entry.shown {
            self.version += 1;
            self.by_version.remove(&entry.version);
            self.offline.remove(&entry.version);
            entry.version = self.version;
            self.by_version.insert(self.version, user_id.to_owned());
            if shown.state == PresenceState::Offline {
                self.offline.insert(self.version);
            }
            entry.shown = shown;
        }
        let next = entry.person.next_change(now);
        if let Some(next) = next
            && entry.deadline.is_none_or(|deadline| next < deadline)
        {
            if let Some(before) = entry.deadline.replace(next) {
                self.deadlines.remove(&(before, user_id.to_owned()));
            }
            self.deadlines.insert((next, user_id.to_owned()));
        }
    }

    /// Forgets who has been offline for the longest time, if anybody is.
    fn forget_one(&mut self) -> bool {
        let Some(version) = self.offline.pop_first() else { return false };
        let Some(user_id) = self.by_version.remove(&version) else { return false };
        if let Some(entry) = self.people.remove(&user_id)
            && let Some(deadline) = entry.deadline
        {
            self.deadlines.remove(&(deadline, user_id));
        }
        true
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// What is shown of a user, and when they were last active.
    pub(super) fn of(&self, user_id: &UserId) -> Option<(&Shown, Option<Duration>)> {
        self.people.get(user_id).map(|entry| (&entry.shown, entry.person.last_active))
    }

    /// Whose presence changed after a version, in that order.
    pub(super) fn changed_after(&self, version: u64) -> impl Iterator<Item = (u64, &OwnedUserId)> {
        self.by_version.range(version.saturating_add(1)..).map(|(version, user_id)| (*version, user_id))
    }

    /// Who is not offline.
    pub(super) fn present(&self) -> impl Iterator<Item = &OwnedUserId> {
        let present = |entry: &Entry| entry.shown.state != PresenceState::Offline;
        self.people.iter().filter(move |(_, entry)| present(entry)).map(|(user_id, _)| user_id)
    }
}
