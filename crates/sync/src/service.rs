//! The service and its background work.

use std::sync::Arc;
use std::time::Duration;

use myelin_model::Requester;
use myelin_runtime::Env;
use myelin_store::{CommitError, Engine};

use crate::connections::{Connections, expire};
use crate::notifier::Notifier;
use crate::ports::{Inboxes, Presence, Typing};
use crate::presence::{PresenceLog, follow};
use crate::sends::{SendInFlight, Sends};
use crate::sliding::wishes::Wishes;
use crate::users::Users;
use crate::waiters::Waiters;

/// The longest that a request waits, whatever it asks for.
pub(crate) const MOST_WAIT: Duration = Duration::from_secs(300);
/// How often connections are written behind.
const FLUSH: Duration = Duration::from_secs(20);
/// How long an unused connection is kept in the store.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// When what clients have seen is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// While the server runs: long lists of rooms where much has changed.
    OnTheWay,
    /// As the server stops: all that has changed.
    Last,
}

/// Answers what is new.
pub struct Sync {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) env: Env,
    pub(crate) inboxes: Arc<dyn Inboxes>,
    pub(crate) typing: Arc<dyn Typing>,
    pub(crate) presence: Arc<dyn Presence>,
    /// What of presence may be told.
    pub(crate) presences: Arc<PresenceLog>,
    pub(crate) notifier: Arc<Notifier>,
    pub(crate) users: Users,
    pub(crate) connections: Connections,
    pub(crate) waiters: Waiters,
    pub(crate) wishes: Wishes,
    pub(crate) sends: Arc<Sends>,
    /// Names this run of the server: counters of typing and presence of another mean nothing.
    pub(crate) run: u64,
}

impl Sync {
    /// The service, with its background work begun.
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        env: Env,
        inboxes: Arc<dyn Inboxes>,
        typing: Arc<dyn Typing>,
        presence: Arc<dyn Presence>,
    ) -> Arc<Self> {
        let notifier = Arc::new(Notifier::default());
        notifier.run(&*engine, &*typing, &env.tasks);
        let run = u64::from_le_bytes(env.random.bytes());
        let sync = Arc::new(Self {
            users: Users::new(Arc::clone(&notifier), &*engine),
            connections: Connections::default(),
            waiters: Waiters::default(),
            wishes: Wishes::default(),
            sends: Arc::default(),
            engine,
            env,
            inboxes,
            typing,
            presence,
            presences: Arc::default(),
            notifier,
            run,
        });
        sync.env.tasks.spawn("sync.presence", follow(Arc::clone(&sync)));
        let behind = Arc::clone(&sync);
        sync.env.tasks.spawn("sync.connections", async move { behind.write_behind().await });
        sync
    }

    /// Writes behind what clients have seen, until the server stops; once more then.
    async fn write_behind(&self) {
        let mut stopping = std::pin::pin!(self.env.tasks.stopping());
        loop {
            let flush = tokio::select! {
                () = tokio::time::sleep(FLUSH) => Flush::OnTheWay,
                () = &mut stopping => Flush::Last,
            };
            match self.flush(flush).await {
                // The store tells the operator of a full disk; every flush would be too often.
                Ok(()) | Err(CommitError::Full) => {}
                Err(error) => {
                    tracing::warn!(%error, "sync connections could not be written; they are tried again");
                }
            }
            if flush == Flush::Last {
                return;
            }
        }
    }

    /// Writes what clients have seen since the last time, and deletes connections that nobody uses any more. Long lists
    /// of rooms are stored where that will make the next start faster.
    ///
    /// # Errors
    /// When the store can't be written. What was not written is tried again the next time.
    pub async fn flush(&self, flush: Flush) -> Result<(), CommitError> {
        self.connections.flush(&*self.engine).await?;
        self.users.store(&*self.engine, flush).await?;
        let kept = u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX);
        let before = self.env.clock.now().saturating_sub(kept);
        expire(&*self.engine, i64::try_from(before).unwrap_or(i64::MAX), 16).await?;
        Ok(())
    }

    /// Notes, before it is committed, that the requester sends an event. Until the answer to that was handed to their
    /// connection, and the guard is dropped, no sync of the same session is answered; for 200 ms at most.
    #[must_use]
    pub fn sending(&self, requester: &Requester) -> SendInFlight {
        self.sends.begin(requester)
    }

    /// How many sliding-sync connections are in memory, and how many requests wait; for metrics.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.connections.len(), self.waiters.len())
    }
}
