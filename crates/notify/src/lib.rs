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
//! Everyone has the default rules as yet. Users with rules of their own will get [`Notification`] rows with `unread` 1
//! or -1 where their rules say otherwise; readers fold those already.
//!
//! [`Notification`]: myelin_store::schema::notify::Notification

mod observe;
mod read_up_to;
mod rules;
mod verdict;

#[cfg(test)]
mod tests;

pub use observe::{MAX_MENTIONS, NewEvent};
pub use read_up_to::{MAX_THREAD_EVENTS, ReadTo};
pub use rules::PushRules;
pub use verdict::Notifies;

use std::sync::Arc;

use myelin_store::Engine;
use ruma::{OwnedServerName, UserId};

/// The service. One for each process.
pub struct Notify {
    engine: Arc<dyn Engine>,
    server_name: OwnedServerName,
}

impl Notify {
    /// The service of the server with this name.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, server_name: OwnedServerName) -> Self {
        Self { engine, server_name }
    }

    fn is_local(&self, user_id: &UserId) -> bool {
        user_id.server_name() == self.server_name
    }
}
