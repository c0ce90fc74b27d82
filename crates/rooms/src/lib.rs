//! Rooms: everything that makes, changes and reads events.
//!
//! Each live room has one **owner** (`owner`): a task with an inbox that holds the room's head in memory, plans events
//! on it before they are committed, and answers after they are. Events that arrive while a commit is under way go into
//! the next one together, so that a busy room costs one fsync for many events. Idle owners end.
//!
//! What an event means for the store (headers, state, membership, summaries, relations) is written in one place,
//! `rows`. Other services learn of events from the committed log, or take part in the same commit through
//! [`Observer`].

mod aliases;
mod canonical_alias;
mod command;
mod config;
mod create;
mod delayed;
mod directory;
mod error;
mod extremities;
mod gate;
mod head;
mod hierarchy;
mod ids;
mod initial_sync;
mod jobs;
mod judge;
mod load;
mod members;
mod membership;
mod moment;
mod notices;
mod observer;
mod overlay;
mod owner;
mod paging;
mod plan;
mod policy;
mod presets;
mod preview;
mod reading;
mod redaction;
mod relating;
mod relations;
mod restricted;
mod retention;
mod rows;
mod service;
mod sticky;
mod summary;
mod sweep;
mod third_party;
mod thread_list;
mod threads;
mod upgrade;

pub use aliases::AliasError;
pub use canonical_alias::StateError;
pub use command::{Draft, Sent, TransactionKey};
pub use config::Config;
pub use create::{CreateError, Creation, Preset, Visibility};
pub use delayed::{DelayAction, DelayError, Delayed, MAX_DELAY, MAX_SCHEDULED};
pub use directory::{DirectoryPage, DirectoryRequest};
pub use error::{Refusal, SendError};
pub use hierarchy::{Child, SpaceRoom, TreeRequest};
pub use initial_sync::InitialSync;
pub use jobs::{Before, PurgeError};
pub use membership::{MembershipError, Removal};
pub use notices::{Notice, NoticeError};
pub use observer::{Arrival, Notifies, Observer};
pub use paging::{MOST_EVENTS, Page, PageFilter, PageRequest, Surroundings, Towards};
pub use policy::{BlockError, PolicyList};
pub use preview::{Details, Preview, Summary};
pub use reading::{MemberFilter, ReadingError, StateEvent};
pub use relating::{RECURSION_DEPTH, RelatedPage, RelationRequest};
pub use retention::{Kept, Retention, RetentionPass, RunError};
pub use service::{Rooms, room_versions};
pub use sticky::MAX_STICKY;
pub use third_party::{
    Addressee, Bound, IdentityAnswer, IdentityRequest, IdentityServers, NoAnswer, ThirdPartyError, To,
};
pub use thread_list::Include;
pub use upgrade::UpgradeError;

#[cfg(test)]
mod tests;
