//! Which events notify whom: the default push rules, judged once for each event, and the unread counts that follow.
//!
//! **A message costs the same in a room of ten as in one of ten thousand.** What the default rules say of everyone is
//! one step of the room's notification counter; a highlight for everyone is one row of the room. Only who is named (a
//! mention, an invite) gets a row of their own, and only the sender and whoever reads move their own base.
//!
//! **Invariants.**
//! - A user's base only moves forward, and rows at or below it are gone or count no more.
//! - Nothing here commits: what an event or a receipt means for notifications is written into the batch of the event or
//!   receipt itself, so that the counts of a sync always fit what it shows.
//!
//! Who has push rules of their own is judged by them, one by one, and gets a [`Notification`] row where they say
//! something else than what the room's counter says of everyone. Where they are silent in a room, the counter does not
//! count for them ([`QuietSpan`]), so that a muted room writes no rows either.
//!
//! Threads that a user subscribed to: see `threads`.
//!
//! [`Notification`]: myelin_store::schema::notify::Notification
//! [`QuietSpan`]: myelin_store::schema::notify::QuietSpan

mod are_read;
mod cache;
mod erase;
mod judge;
mod notifications;
mod observe;
mod push;
mod read_up_to;
mod ruled;
mod ruled_rooms;
mod rules;
mod spread;
mod subjects;
mod threads;
mod verdict;

#[cfg(test)]
mod tests;

pub use judge::MAX_PATTERN;
pub use notifications::{MAX_NOTIFICATIONS, NotificationsPage, NotificationsWanted, Notified};
pub use observe::{MAX_MENTIONS, NewEvent};
pub use push::{
    Gateway, GatewayError, MAX_PUSHERS, MAX_QUEUE, NewPusher, PusherError, PusherProblem, Schemes,
};
pub use read_up_to::{Part, ReadTo};
pub use ruled::MAX_RULED;
pub use rules::{
    MAX_CONDITIONS, MAX_RULE_ID, MAX_RULES, MAX_RULES_BYTES, NewRule, PushRules, Relative, RuleError,
    RuleProblem,
};
pub use threads::{Subscription, SubscriptionError};
pub use verdict::Notifies;

use std::sync::Arc;
use std::time::Duration;

use myelin_model::{Fence, Shard};
use myelin_runtime::Env;
use myelin_store::{Batch, CommitError, Engine};
use ruma::{OwnedServerName, UserId};

use crate::cache::RulesCache;
use crate::push::Queues;
use crate::ruled_rooms::RuledRooms;
use myelin_store::Turns;

/// How often a write is planned again after another one came between.
const ATTEMPTS: u32 = 16;
/// How long the start waits for a store that fails.
const RETRY: Duration = Duration::from_secs(5);

/// The service. One for each process.
pub struct Notify {
    engine: Arc<dyn Engine>,
    env: Env,
    server_name: OwnedServerName,
    schemes: Schemes,
    cache: RulesCache,
    turns: Turns,
    queues: Queues,
    ruled_rooms: RuledRooms,
}

impl Notify {
    /// The service of the server with this name, and which push gateways it takes.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, env: Env, server_name: OwnedServerName, schemes: Schemes) -> Self {
        let (cache, turns, queues) = (RulesCache::default(), Turns::default(), Queues::default());
        let ruled_rooms = RuledRooms::default();
        Self { engine, env, server_name, schemes, cache, turns, queues, ruled_rooms }
    }

    /// Starts what runs by itself: what the last process left over is finished, and notifications go out. Call it once.
    pub fn start(self: &Arc<Self>, gateway: &Arc<dyn Gateway>) {
        let (notify, gateway) = (Arc::clone(self), Arc::clone(gateway));
        self.env.tasks.supervise("push.log", move || Arc::clone(&notify).follow(Arc::clone(&gateway)));
        let (notify, tasks) = (Arc::clone(self), self.env.tasks.clone());
        self.env.tasks.supervise("push rules", move || {
            let (notify, tasks) = (Arc::clone(&notify), tasks.clone());
            async move {
                let stopping = tasks.stopping();
                tokio::pin!(stopping);
                while let Err(error) = notify.take_up().await {
                    // The store tells the operator of a full disk.
                    if !matches!(error, RuleError::Commit(CommitError::Full)) {
                        tracing::warn!(%error, "changed push rules did not reach all rooms yet");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(RETRY) => {}
                        () = &mut stopping => return,
                    }
                }
            }
        });
    }

    async fn take_up(&self) -> Result<(), RuleError> {
        self.load_ruled_rooms().await?;
        self.finish_spreading().await
    }

    fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name
    }

    /// An empty batch under the lease of the user's shard.
    fn batch(&self, user_id: &UserId) -> Batch {
        let shard = Shard::of(user_id.as_str());
        Batch::new(Fence { shard, epoch: self.engine.epoch(shard) })
    }
}
