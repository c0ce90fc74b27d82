//! Who is there (client-server API, "Presence"). In memory: after a restart those who are there come back by themselves.
//!
//! Others are told only when what they see has changed: whether somebody is there, whether they are currently active, and
//! what they say of themselves. A client that syncs many times a minute changes nothing.

mod book;
mod person;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use myelin_model::Requester;
use myelin_runtime::Clock;
use myelin_store::ReadError;
use ruma::{OwnedUserId, UserId};
use tokio::sync::{Notify, watch};

pub use self::person::PresenceState;

use self::book::Book;
use crate::{Users, is_own, member};

/// How many users are remembered. Past it, those who are offline are forgotten, the longest absent first.
pub const MAX_PRESENT: usize = 32_768;

/// The longest status message, in bytes.
pub const MAX_STATUS: usize = 1_024;

/// Why presence was not told or changed.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// It is somebody else's.
    #[error("you can set your own presence only")]
    NotYours,
    /// The two share no room; whether there is such a user is not told.
    #[error("you are not allowed to see their presence")]
    NotShared,
    /// The status message is longer than [`MAX_STATUS`].
    #[error("a status message has at most {MAX_STATUS} bytes")]
    StatusTooLong,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What is told of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Whether they are there.
    pub state: PresenceState,
    /// How long ago they did something, where that is known.
    pub last_active_ago: Option<Duration>,
    /// Whether they are doing something just now; `None` unless they are online.
    pub currently_active: Option<bool>,
    /// What they say of themselves.
    pub status_msg: Option<String>,
}

/// Everybody's presence.
pub struct Presences {
    enabled: bool,
    clock: Arc<dyn Clock>,
    book: Mutex<Book>,
    changes: watch::Sender<u64>,
    /// Told when something will change earlier than the next change that was expected.
    sooner: Notify,
}

/// A sync under way: while it lives, its device is connected.
pub struct Connected(Option<(Arc<Presences>, OwnedUserId, String)>);

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some((presences, user_id, device)) = self.0.take() {
            presences.change(&user_id, false, |person, now| person.disconnect(&device, now));
        }
    }
}

impl Users {
    /// Sets the user's presence as this device sees it, and what they say of themselves (`None`: nothing).
    ///
    /// # Errors
    /// See [`PresenceError`].
    pub fn set_presence(
        &self,
        requester: &Requester,
        user_id: &UserId,
        state: PresenceState,
        status_msg: Option<String>,
    ) -> Result<(), PresenceError> {
        if !is_own(requester, user_id) {
            return Err(PresenceError::NotYours);
        }
        let status_msg = status_msg.filter(|status| !status.is_empty());
        if status_msg.as_ref().is_some_and(|status| status.len() > MAX_STATUS) {
            return Err(PresenceError::StatusTooLong);
        }
        let make = state != PresenceState::Offline || status_msg.is_some();
        self.presence.change(user_id, make, |person, now| {
            person.say(device_of(requester), state, now);
            person.status_msg = status_msg;
        });
        Ok(())
    }

    /// The presence of a user that the requester shares a room with, or of themself.
    ///
    /// # Errors
    /// See [`PresenceError`].
    pub async fn presence_of(
        &self,
        requester: &Requester,
        user_id: &UserId,
    ) -> Result<Presence, PresenceError> {
        if !is_own(requester, user_id) {
            let snapshot = self.engine.snapshot().await?;
            if member::shared_rooms(&*snapshot, &requester.user_id, user_id).await?.is_empty() {
                return Err(PresenceError::NotShared);
            }
        }
        Ok(self.presence.of(user_id).unwrap_or_default())
    }
}

fn device_of(requester: &Requester) -> &str {
    requester.device_id().map_or("", |device_id| device_id.as_str())
}

impl Presences {
    pub(crate) fn new(clock: Arc<dyn Clock>, enabled: bool) -> Self {
        let (changes, _) = watch::channel(0);
        Self { enabled, clock, book: Mutex::default(), changes, sooner: Notify::new() }
    }

    /// Notes that a device asks for news, and as what it wants to be seen (`None`: it does not say). Hold the answer for
    /// as long as it waits. A device that wants to be seen as offline is not noted at all.
    #[must_use]
    pub fn connect(self: &Arc<Self>, requester: &Requester, said: Option<PresenceState>) -> Connected {
        if !self.enabled || said == Some(PresenceState::Offline) {
            return Connected(None);
        }
        let (user_id, device) = (requester.user_id.clone(), device_of(requester).to_owned());
        self.change(&user_id, true, |person, now| person.connect(&device, said, now));
        Connected(Some((Arc::clone(self), user_id, device)))
    }

    /// Notes that the user does something ("Last active ago"): it wakes one who is idle.
    pub fn act(&self, requester: &Requester) {
        self.change(&requester.user_id, false, |person, now| person.act(device_of(requester), now));
    }

    /// The presence of a user, as far as anything is known of it.
    #[must_use]
    pub fn of(&self, user_id: &UserId) -> Option<Presence> {
        let now = self.clock.elapsed();
        self.settled().of(user_id).map(|(shown, last_active)| Presence {
            state: shown.state,
            last_active_ago: last_active.map(|at| now.saturating_sub(at)),
            currently_active: (shown.state == PresenceState::Online).then_some(shown.currently_active),
            status_msg: shown.status_msg.clone(),
        })
    }

    /// The version of the last change; 0 where there was none in this run of the server.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.settled().version
    }

    /// Whose presence changed after a version, each with the version of their last change, in that order.
    #[must_use]
    pub fn changed_after(&self, version: u64) -> Vec<(u64, OwnedUserId)> {
        let book = self.settled();
        book.changed_after(version).map(|(version, user_id)| (version, user_id.clone())).collect()
    }

    /// Who is not offline.
    #[must_use]
    pub fn present(&self) -> Vec<OwnedUserId> {
        self.settled().present().cloned().collect()
    }

    /// The version of the last change, from now on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn change(&self, user_id: &UserId, make: bool, change: impl FnOnce(&mut person::Person, Duration)) {
        if !self.enabled {
            return;
        }
        let now = self.clock.elapsed();
        let mut book = self.settled();
        let next = book.next_deadline();
        book.change(user_id, now, make, |person| change(person, now));
        let sooner = book.next_deadline().is_some_and(|at| next.is_none_or(|next| at < next));
        self.announce(&book);
        drop(book);
        if sooner {
            self.sooner.notify_one();
        }
    }

    /// Notes what time changes when it does, until `stopping` resolves.
    pub(crate) async fn expire_until(&self, stopping: impl Future<Output = ()>) {
        tokio::pin!(stopping);
        loop {
            let next = self.settled().next_deadline();
            let wait = next.map(|at| at.saturating_sub(self.clock.elapsed()));
            tokio::select! {
                () = &mut stopping => return,
                () = self.sooner.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    /// The book as it is now.
    fn settled(&self) -> MutexGuard<'_, Book> {
        let now = self.clock.elapsed();
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.settle_overdue(now);
        self.announce(&book);
        book
    }

    fn announce(&self, book: &Book) {
        self.changes.send_if_modified(|version| std::mem::replace(version, book.version) != book.version);
    }
}

#[cfg(test)]
mod tests;
