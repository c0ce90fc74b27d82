//! Who is typing (client-server API, "Typing Notifications"). In memory: nobody misses it after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use myelin_model::{Requester, RoomNid};
use myelin_runtime::Clock;
use myelin_store::ReadError;
use ruma::{OwnedUserId, RoomId, UserId};
use tokio::sync::{Notify, broadcast};

use crate::{Users, is_own, member};

/// How many rooms are remembered. Past it, those where nobody types any more are forgotten, the longest quiet first.
pub const MAX_TYPING_ROOMS: usize = 16_384;

/// How many typing users of one room are remembered.
pub const MAX_TYPERS: usize = 256;

/// How long somebody types who does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long somebody types at most who says no more.
const MAX_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a room is remembered in which nobody types any more, for clients that were away when typing ended.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// How many changes a subscriber may fall behind before it must ask anew.
const CHANGES: usize = 1_024;

/// Why somebody's typing was not noted.
#[derive(Debug, thiserror::Error)]
pub enum TypingError {
    /// It is somebody else's.
    #[error("you can only say of yourself that you are typing")]
    NotYours,
    /// The user is not in the room; whether it exists is not told.
    #[error("you are not in this room")]
    NotInRoom,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Who is typing in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypingUsers {
    /// When that last changed, as a number that grows with each change in any room.
    pub version: u64,
    /// The users, in the order of their ids.
    pub users: Vec<OwnedUserId>,
}

/// Who is typing, in all rooms.
pub struct Typing {
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
    changes: broadcast::Sender<RoomNid>,
    /// Told when somebody begins to type.
    begun: Notify,
}

#[derive(Default)]
struct Inner {
    /// The version of the last change.
    version: u64,
    rooms: HashMap<RoomNid, Typists>,
    by_version: BTreeMap<u64, RoomNid>,
    deadlines: BTreeSet<(Duration, RoomNid, OwnedUserId)>,
}

#[derive(Default)]
struct Typists {
    version: u64,
    /// When the last change was.
    at: Duration,
    until: BTreeMap<OwnedUserId, Duration>,
}

impl Users {
    /// Notes that the user is typing in a room, for so long (`None`: for the usual time), or has stopped.
    ///
    /// # Errors
    /// See [`TypingError`].
    pub async fn set_typing(
        &self,
        requester: &Requester,
        user_id: &UserId,
        room_id: &RoomId,
        is_typing: IsTyping,
    ) -> Result<(), TypingError> {
        if !is_own(requester, user_id) {
            return Err(TypingError::NotYours);
        }
        let snapshot = self.engine.snapshot().await?;
        let room = member::joined_room(&*snapshot, room_id, user_id).await?.ok_or(TypingError::NotInRoom)?;
        match is_typing {
            IsTyping::For(timeout) => self.typing.begin(room, user_id, timeout),
            IsTyping::No => self.typing.stop(room, user_id),
        }
        Ok(())
    }
}

/// Whether somebody is typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsTyping {
    /// They are, until they say otherwise or this time is over; without a time, for the usual one.
    For(Option<Duration>),
    /// They are not, or no more.
    No,
}

impl Typing {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        // Versions go into the tokens of syncs: a new process must not begin below where the last one ended.
        let inner = Inner { version: clock.now(), ..Inner::default() };
        let (changes, _) = broadcast::channel(CHANGES);
        Self { clock, inner: Mutex::new(inner), changes, begun: Notify::new() }
    }

    /// Who is typing in a room.
    #[must_use]
    pub fn room(&self, room: RoomNid) -> TypingUsers {
        let inner = self.settled();
        let Some(typists) = inner.rooms.get(&room) else { return TypingUsers::default() };
        TypingUsers { version: typists.version, users: typists.users() }
    }

    /// The rooms where that changed after the given version, in the order of their last change, with who is typing in
    /// them now: nobody, where typing has ended within the last hour.
    #[must_use]
    pub fn changed_after(&self, version: u64) -> Vec<(RoomNid, Vec<OwnedUserId>)> {
        let inner = self.settled();
        let changed = inner.by_version.range(version.saturating_add(1)..);
        changed
            .map(|(_, room)| (*room, inner.rooms.get(room).map(Typists::users).unwrap_or_default()))
            .collect()
    }

    /// The version of the last change in any room.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.settled().version
    }

    /// The rooms where it changes from now on. A receiver that lags asks [`Self::changed_after`].
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<RoomNid> {
        self.changes.subscribe()
    }

    /// Ends a user's typing: they said so, or sent what they typed, or left.
    pub fn stop(&self, room: RoomNid, user_id: &UserId) {
        let mut inner = self.settled();
        if inner.end(room, user_id, self.clock.elapsed()) {
            self.announce(room);
        }
    }

    fn begin(&self, room: RoomNid, user_id: &UserId, timeout: Option<Duration>) {
        let now = self.clock.elapsed();
        let until = now + timeout.unwrap_or(DEFAULT_TIMEOUT).min(MAX_TIMEOUT);
        let mut inner = self.settled();
        if inner.begin(room, user_id, now, until) {
            self.announce(room);
        }
        drop(inner);
        self.begun.notify_one();
    }

    /// Ends what is overdue whenever it is, until `stopping` resolves.
    pub(crate) async fn expire_until(&self, stopping: impl Future<Output = ()>) {
        tokio::pin!(stopping);
        loop {
            let next = self.settled().deadlines.first().map(|(until, _, _)| *until);
            let wait = next.map(|until| until.saturating_sub(self.clock.elapsed()));
            tokio::select! {
                () = &mut stopping => return,
                () = self.begun.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    /// The state, with nobody in it whose time is over.
    fn settled(&self) -> MutexGuard<'_, Inner> {
        let now = self.clock.elapsed();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((until, room, user_id)) = inner.deadlines.first().cloned() {
            if until > now {
                break;
            }
            inner.end(room, &user_id, now);
            self.announce(room);
        }
        inner.forget_older_than(now.saturating_sub(REMEMBERED));
        inner
    }

    fn announce(&self, room: RoomNid) {
        // Nobody may be listening.
        let _ = self.changes.send(room);
    }
}

impl Inner {
    /// Notes a user until a time; says whether they were not typing before.
    fn begin(&mut self, room: RoomNid, user_id: &UserId, now: Duration, until: Duration) -> bool {
        if !self.rooms.contains_key(&room) && self.rooms.len() >= MAX_TYPING_ROOMS && !self.forget_one() {
            return false;
        }
        let typists = self.rooms.entry(room).or_default();
        if !typists.until.contains_key(user_id) && typists.until.len() >= MAX_TYPERS {
            return false;
        }
        let before = typists.until.insert(user_id.to_owned(), until);
        if let Some(before) = before {
            self.deadlines.remove(&(before, room, user_id.to_owned()));
        }
        self.deadlines.insert((until, room, user_id.to_owned()));
        if before.is_none() {
            self.changed(room, now);
        }
        before.is_none()
    }

    /// Forgets a user; says whether they were typing.
    fn end(&mut self, room: RoomNid, user_id: &UserId, now: Duration) -> bool {
        let ended = self.rooms.get_mut(&room).and_then(|typists| typists.until.remove(user_id));
        let Some(until) = ended else { return false };
        self.deadlines.remove(&(until, room, user_id.to_owned()));
        self.changed(room, now);
        true
    }

    fn changed(&mut self, room: RoomNid, now: Duration) {
        self.version += 1;
        if let Some(typists) = self.rooms.get_mut(&room) {
            self.by_version.remove(&typists.version);
            typists.version = self.version;
            typists.at = now;
            self.by_version.insert(self.version, room);
        }
    }

    /// Forgets the room that has been quiet for the longest time, if there is one.
    fn forget_one(&mut self) -> bool {
        let quiet = self.by_version.values().find(|room| self.is_quiet(**room)).copied();
        quiet.is_some_and(|room| self.forget(room))
    }

    /// Forgets rooms that are quiet, and whose last change was before the given time.
    fn forget_older_than(&mut self, time: Duration) {
        while let Some(room) = self.by_version.first_key_value().map(|(_, room)| *room) {
            let is_old = self.rooms.get(&room).is_none_or(|typists| typists.at < time);
            if !is_old || !self.is_quiet(room) || !self.forget(room) {
                return;
            }
        }
    }

    fn is_quiet(&self, room: RoomNid) -> bool {
        self.rooms.get(&room).is_none_or(|typists| typists.until.is_empty())
    }

    fn forget(&mut self, room: RoomNid) -> bool {
        let forgotten = self.rooms.remove(&room);
        forgotten.is_some_and(|typists| self.by_version.remove(&typists.version).is_some())
    }
}

impl Typists {
    fn users(&self) -> Vec<OwnedUserId> {
        self.until.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
