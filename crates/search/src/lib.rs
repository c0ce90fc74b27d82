//! Full-text search (client-server API, "Server Side Search"): an index of what rooms say, and queries over it.
//!
//! **A message is not slower for being searchable.** A task follows the committed log and writes the index behind it; a
//! query waits, a second at most, until the index has come as far as the log was when it was asked.
//!
//! **Invariants.**
//! - The index says of an event what follows from the store: a step compares and never counts, so it may be repeated.
//! - The index proposes, the store decides: whether the asker may see an event, and whether it was redacted, is read from
//!   the rooms' own rows for every result.
//! - A query looks at no more than [`MOST_SEEN`] events, whatever it asks for.

mod candidates;
mod context;
mod document;
mod found;
mod groups;
mod index;
mod predecessors;
mod query;
mod rank;
mod request;
mod rooms;
mod token;
mod words;

#[cfg(test)]
mod tests;

pub use candidates::MOST_SEEN;
pub use context::MAX_CONTEXT;
pub use found::{Context, Found, Hit, Profile, RoomStates};
pub use groups::{Group, GroupKey, Groups};
pub use request::{ContextRequest, Key, MAX_RESULTS, Order, SearchRequest};
pub use token::{BadToken, Token};
pub use words::{MAX_TERMS, MAX_WORD, MAX_WORDS};

use std::sync::Arc;

use myelin_model::Pos;
use myelin_runtime::Env;
use myelin_store::Engine;
use tokio::sync::{Notify, Semaphore, watch};

/// How many queries read at once; others wait. The store's readers are there for everybody.
const AT_ONCE: usize = 4;

/// The service. One for each process.
pub struct Search {
    engine: Arc<dyn Engine>,
    env: Env,
    states: Arc<dyn RoomStates>,
    /// Up to where the log is indexed.
    reached: watch::Sender<Pos>,
    /// Told when somebody waits for the index.
    hurry: Notify,
    /// One for each query that may read.
    turns: Semaphore,
}

impl Search {
    /// The service; `states` reads what `include_state` asks for.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, env: Env, states: Arc<dyn RoomStates>) -> Self {
        let (reached, hurry) = (watch::Sender::new(Pos::ZERO), Notify::new());
        Self { engine, env, states, reached, hurry, turns: Semaphore::new(AT_ONCE) }
    }

    /// Starts the indexer. It goes on where the last process left the index. Call it once.
    pub fn start(self: &Arc<Self>) {
        let search = Arc::clone(self);
        self.env.tasks.supervise("search index", move || {
            let search = Arc::clone(&search);
            async move { search.follow().await }
        });
    }
}
