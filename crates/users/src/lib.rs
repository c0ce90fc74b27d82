//! What a user keeps on the server: profile, account data, tags, receipts and filters; who is typing, who is
//! there, and how users are found.
//!
//! **Invariants.**
//! - Only its own user changes anything here; every method that changes something takes the requester first and checks.
//! - What was acknowledged is durable, but for typing and presence, which live in memory and mean nothing after a minute.
//! - A receipt only moves forward, each kind and thread by itself.
//! - A profile and the rooms that show it may differ for a while, never for good: the change and the task to spread it are
//!   one commit ([`Users::start`]).

mod account_data;
mod directory;
mod erase;
mod filters;
mod member;
mod mutual_rooms;
mod presence;
mod profile;
mod profile_changes;
mod profile_key;
mod receipts;
mod replaced;
mod reports;
mod spread;
mod tags;
mod threads;
mod typing;

#[cfg(test)]
mod testing;

pub use account_data::{AccountDataError, KeptData, MAX_ACCOUNT_DATA, MAX_TYPE};
pub use directory::{Found, MAX_FOUND, MAX_SEARCH_TERM, SearchError, SearchResults};
pub use filters::{FilterError, MAX_FILTER, MAX_FILTERS};
pub use mutual_rooms::{MAX_MUTUAL_ROOMS, MutualRooms, MutualRoomsError};
pub use presence::{Connected, MAX_PRESENT, MAX_STATUS, Presence, PresenceError, PresenceState, Presences};
pub use profile::{MAX_PROFILE, ProfileError};
pub use profile_key::{InvalidKey, ProfileKey};
pub use receipts::{Marks, ReadUpTo, Reading, ReceiptError, Thread};
pub use replaced::{CopyError, CopyRules};
pub use reports::{MAX_REASON, MAX_REPORTS, MOST_WAITING, ReportError, Reported};
pub use spread::{ProfileSpread, SpreadError};
pub use tags::{MAX_TAG, Tags};
pub use typing::{IsTyping, MAX_TYPERS, MAX_TYPING_ROOMS, Typing, TypingError, TypingUsers};

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use myelin_model::{Fence, Requester, Shard};
use myelin_runtime::Env;
use myelin_store::{Batch, CommitError, Engine, Planned};
use ruma::{OwnedServerName, UserId};

use myelin_store::Turns;

/// How often a write is planned again after another one came between.
const ATTEMPTS: u32 = 16;

/// What an operator decides of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// This server's name.
    pub server_name: OwnedServerName,
    /// Whether users of this server tell each other who is there. If not, everybody is offline.
    pub presence: bool,
}

/// The service. One for each process.
pub struct Users {
    engine: Arc<dyn Engine>,
    env: Env,
    server_name: OwnedServerName,
    read_up_to: Arc<dyn ReadUpTo>,
    copy_rules: Arc<dyn CopyRules>,
    typing: Typing,
    presence: Arc<Presences>,
    turns: Turns,
    /// Told when there is a profile to spread.
    spread_wanted: tokio::sync::Notify,
    /// How many reports wait, once somebody has counted them.
    reports_waiting: tokio::sync::OnceCell<AtomicUsize>,
}

impl Users {
    /// The service over a store.
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        env: Env,
        config: Config,
        read_up_to: Arc<dyn ReadUpTo>,
        copy_rules: Arc<dyn CopyRules>,
    ) -> Self {
        let Config { server_name, presence } = config;
        let typing = Typing::new(Arc::clone(&env.clock));
        let presence = Arc::new(Presences::new(Arc::clone(&env.clock), presence));
        let (turns, spread_wanted) = (Turns::default(), tokio::sync::Notify::new());
        Self {
            engine,
            env,
            server_name,
            read_up_to,
            copy_rules,
            typing,
            presence,
            turns,
            spread_wanted,
            reports_waiting: tokio::sync::OnceCell::new(),
        }
    }

    /// Starts what runs by itself: spreading changed profiles to rooms and copying what users keep of replaced rooms, what
    /// was left over by the last process included, the end of typing, and what time does to presence. Call it once.
    pub fn start(self: &Arc<Self>, rooms: &Arc<dyn ProfileSpread>) {
        let (users, rooms) = (Arc::clone(self), Arc::clone(rooms));
        self.env.tasks.supervise("profile spread", move || {
            let (users, rooms) = (Arc::clone(&users), Arc::clone(&rooms));
            async move { users.spread_profiles(&*rooms).await }
        });
        let users = Arc::clone(self);
        self.env.tasks.supervise("replaced rooms", move || {
            let users = Arc::clone(&users);
            async move { users.follow_left_over().await }
        });
        let users = Arc::clone(self);
        self.env.tasks.supervise("typing", move || {
            let users = Arc::clone(&users);
            async move { users.typing.expire_until(users.env.tasks.stopping()).await }
        });
        let users = Arc::clone(self);
        self.env.tasks.supervise("presence", move || {
            let users = Arc::clone(&users);
            async move { users.presence.expire_until(users.env.tasks.stopping()).await }
        });
    }

    /// Who is there.
    #[must_use]
    pub fn presence(&self) -> &Arc<Presences> {
        &self.presence
    }

    /// Who is typing.
    #[must_use]
    pub fn typing(&self) -> &Typing {
        &self.typing
    }

    fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name
    }

    fn now(&self) -> i64 {
        i64::try_from(self.env.clock.now()).unwrap_or(i64::MAX)
    }

    /// An empty batch under the lease of the user's shard.
    fn batch(&self, user_id: &UserId) -> Batch {
        let shard = Shard::of(user_id.as_str());
        Batch::new(Fence { shard, epoch: self.engine.epoch(shard) })
    }

    /// Commits what was planned; a conflict counts one attempt and asks for another plan.
    async fn try_commit(&self, batch: Batch, attempt: &mut u32) -> Result<Planned, CommitError> {
        batch.try_commit(&*self.engine, attempt, ATTEMPTS).await
    }
}

/// Whether a request is about the one who makes it.
fn is_own(requester: &Requester, user_id: &UserId) -> bool {
    requester.user_id == user_id
}
