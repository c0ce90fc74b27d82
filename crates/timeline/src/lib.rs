//! Reading rooms on behalf of a user.
//!
//! Three questions that sync and the room endpoints share: which events may this user see ([`views`]), which later
//! events are bundled with them, and how do they look to a client ([`client_events`]). Everything is bulk: a call
//! makes a fixed number of reads, however many events and rooms it is about.
//!
//! **Invariant.** Visibility is decided by intervals of the user's membership and of the room's history visibility;
//! no state is looked up for a single event.

mod client;
mod filter;
mod form;
mod invites;
mod load;
mod related;
mod stripped;
#[cfg(feature = "testing")]
pub mod testing;
mod threads;
mod topic;
mod view;

pub use client::{ClientEvents, Format, client_events, shared_message, shared_state};
pub use filter::filter_events;
pub use invites::{INVITE_KINDS, InviteRules, InviteVerdict, invite_rules};
pub use load::{contents, load, load_by_id};
pub use stripped::{stripped_events, stripped_state};
pub use threads::{Lineage, THREAD, lineage, rel_types, relation_of, roots, thread_of};
pub use topic::plain_topic;
pub use view::{View, Viewer, ignored_users, views, visible};
