//! What was planned and is not in the store yet.
//!
//! An owner plans on top of commits that are still under way, so it reads through two layers: the group being planned
//! and the one being committed. A layer is dropped when its commit is acknowledged; every snapshot taken after that
//! contains it.

use std::collections::{HashMap, HashSet};

use myelin_model::EventNid;
use myelin_room_core::key::StateKey;
use myelin_store::schema::rooms::{Member, Thread, ThreadParticipant};
use ruma::{OwnedEventId, OwnedUserId};

use crate::TransactionKey;

/// One group of planned events: what it changes of what later planning reads.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) state: HashMap<StateKey, EventNid>,
    pub(crate) members: HashMap<OwnedUserId, Member>,
    pub(crate) threads: HashMap<OwnedEventId, Option<Thread>>,
    pub(crate) participants: HashMap<(OwnedEventId, OwnedUserId), ThreadParticipant>,
    /// Events that lose their content.
    pub(crate) taken: HashSet<EventNid>,
    pub(crate) transactions: HashMap<TransactionKey, OwnedEventId>,
    /// How many sticky events each user sends.
    pub(crate) sticky: HashMap<OwnedUserId, usize>,
}

/// The two layers.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Being planned.
    pub(crate) next: Layer,
    /// Being committed.
    pub(crate) committing: Layer,
}

impl Overlay {
    /// Looks a value up, newest layer first.
    pub(crate) fn find<'o, T>(&'o self, look: impl Fn(&'o Layer) -> Option<T>) -> Option<T> {
        look(&self.next).or_else(|| look(&self.committing))
    }

    /// Whether the event is about to lose its content.
    pub(crate) fn is_taken(&self, event: EventNid) -> bool {
        self.next.taken.contains(&event) || self.committing.taken.contains(&event)
    }

    /// The planned group goes to the store.
    pub(crate) fn commit(&mut self) {
        self.committing = std::mem::take(&mut self.next);
    }

    /// The group that was being committed is in the store.
    pub(crate) fn committed(&mut self) {
        self.committing = Layer::default();
    }
}
