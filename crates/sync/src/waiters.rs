//! The requests under way, and how many of them may wait.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The most requests that wait at once. Those beyond are answered at once.
const MOST_WAITERS: usize = 65_536;
/// The most requests of one session that wait on `/v3/sync`. The longest waiting gives way. On sliding sync a session has as
/// many as connections.
const MOST_OF_SESSION: usize = 16;

/// Counts the requests under way.
#[derive(Default)]
pub(crate) struct Waiters {
    count: AtomicUsize,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    next: u64,
    /// By session: its requests, the longest waiting first. To drop one tells it to give way.
    waiting: HashMap<i64, VecDeque<(u64, oneshot::Sender<()>)>>,
}

/// One request under way.
pub(crate) struct Waiting<'w>(&'w Waiters);

/// A request that may wait until others of its session come.
pub(crate) struct Turn<'w> {
    waiters: &'w Waiters,
    session: i64,
    number: u64,
    over: oneshot::Receiver<()>,
}

impl Waiters {
    pub(crate) fn enter(&self) -> Waiting<'_> {
        self.count.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether there are so many that no more may wait.
    pub(crate) fn is_full(&self) -> bool {
        self.len() > MOST_WAITERS
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn to wait; that of the session's request that has waited longest is over where it has too many.
    pub(crate) fn turn(&self, session: i64) -> Turn<'_> {
        let (sender, over) = oneshot::channel();
        let mut sessions = self.lock();
        sessions.next += 1;
        let number = sessions.next;
        let waiting = sessions.waiting.entry(session).or_default();
        if waiting.len() >= MOST_OF_SESSION {
            waiting.pop_front();
        }
        waiting.push_back((number, sender));
        Turn { waiters: self, session, number, over }
    }
}

impl Turn<'_> {
    /// Resolves when it is over. Not to be asked again after that.
    pub(crate) async fn over(&mut self) {
        // Nothing is ever sent: the sender is dropped.
        let _ = (&mut self.over).await;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut sessions = self.waiters.lock();
        let Some(waiting) = sessions.waiting.get_mut(&self.session) else { return };
        waiting.retain(|(number, _)| *number != self.number);
        if waiting.is_empty() {
            sessions.waiting.remove(&self.session);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}
