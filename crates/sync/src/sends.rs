//! A session's own sends that are not answered yet, so that no sync tells the session of an event before the answer to its
//! sending does.
//!
//! Clients match the two: Element Web's SDK, told by sync of its own message in a thread first, takes it for lost and tries
//! again for half a minute. A sync's answer that is ready while a send is unanswered is therefore held back until that has
//! been answered, at most for [`HELD`]. Other sessions are not held back, and nothing is reordered.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use myelin_model::Requester;
use tokio::sync::Notify;

/// How long an answer is held back at most.
const HELD: Duration = Duration::from_millis(200);

/// The sends that are not answered, by session.
#[derive(Default)]
pub(crate) struct Sends {
    /// How many there are: most often none, and then nothing else is looked at.
    open: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    sessions: HashMap<i64, Session>,
}

#[derive(Default)]
struct Session {
    open: BTreeSet<u64>,
    answered: Arc<Notify>,
}

/// A send that is not answered yet, from before its commit until its answer was handed to the client's connection. Dropped,
/// it counts as answered.
pub struct SendInFlight {
    sends: Arc<Sends>,
    session: i64,
    number: u64,
}

impl Sends {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a send; to be called before it is committed.
    pub(crate) fn begin(self: &Arc<Self>, requester: &Requester) -> SendInFlight {
        let mut state = self.lock();
        state.next += 1;
        let (number, session) = (state.next, requester.session);
        state.sessions.entry(session).or_default().open.insert(number);
        self.open.fetch_add(1, Ordering::SeqCst);
        SendInFlight { sends: Arc::clone(self), session, number }
    }

    /// Waits until the session's sends that are under way are answered; at once if there are none.
    pub(crate) async fn answered(&self, requester: &Requester) {
        if self.open.load(Ordering::SeqCst) == 0 {
            return;
        }
        let found = {
            let state = self.lock();
            let session = state.sessions.get(&requester.session);
            session.and_then(|session| Some((*session.open.last()?, Arc::clone(&session.answered))))
        };
        let Some((last, answered)) = found else { return };
        let limit = std::pin::pin!(tokio::time::sleep(HELD));
        let all = async {
            loop {
                let mut next = std::pin::pin!(answered.notified());
                // From here on no answer is missed.
                next.as_mut().enable();
                if !self.is_open(requester.session, last) {
                    return;
                }
                next.await;
            }
        };
        tokio::select! {
            () = all => {}
            // Whoever does not take the answer to a send holds up no second sync by it.
            () = limit => self.close(requester.session, |number| number <= last),
        }
    }

    /// Whether a send up to this one is not answered.
    fn is_open(&self, session: i64, last: u64) -> bool {
        let state = self.lock();
        let first = state.sessions.get(&session).and_then(|session| session.open.first().copied());
        first.is_some_and(|first| first <= last)
    }

    fn close(&self, session: i64, is_over: impl Fn(u64) -> bool) {
        let mut state = self.lock();
        let Some(found) = state.sessions.get_mut(&session) else { return };
        let before = found.open.len();
        found.open.retain(|number| !is_over(*number));
        self.open.fetch_sub(before - found.open.len(), Ordering::SeqCst);
        found.answered.notify_waiters();
        if found.open.is_empty() {
            state.sessions.remove(&session);
        }
    }
}

impl Drop for SendInFlight {
    fn drop(&mut self) {
        self.sends.close(self.session, |number| number == self.number);
    }
}
