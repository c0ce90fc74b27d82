//! Changes of a user's thread subscriptions (MSC4308), for sliding sync and for its companion endpoint.

use std::collections::BTreeMap;

use myelin_model::{Pos, Requester, RoomNid};
use myelin_store::schema::notify::{ThreadChanges, thread_changes};
use myelin_store::schema::rooms::Room;
use myelin_store::{ReadError, Reader, Snapshot};
use myelin_sync_core::token::ThreadsToken;
use ruma::{OwnedEventId, OwnedRoomId, UserId};
use serde::Serialize;

use crate::Sync;

/// Changes in one answer, unless the client wants fewer.
const CHANGES: u64 = 100;
/// The most it may want.
const MOST_CHANGES: u64 = 1000;

/// How many changes an answer has, given what the client wants.
pub(crate) fn limit(wanted: Option<u64>) -> usize {
    usize::try_from(wanted.unwrap_or(CHANGES).clamp(1, MOST_CHANGES)).unwrap_or(usize::MAX)
}

/// Changed subscriptions by room and thread root.
type ByThread<T> = BTreeMap<OwnedRoomId, BTreeMap<OwnedEventId, T>>;

/// Changes of thread subscriptions, as clients see them.
#[derive(Debug, Default, Serialize)]
pub struct ThreadsAnswer {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    subscribed: ByThread<Subscribed>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unsubscribed: ByThread<Unsubscribed>,
    /// In a sync: where the companion endpoint goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    /// At the companion endpoint: where it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<String>,
}

#[derive(Debug, Serialize)]
struct Subscribed {
    automatic: bool,
    bump_stamp: i64,
}

#[derive(Debug, Serialize)]
struct Unsubscribed {
    bump_stamp: i64,
}

impl ThreadsAnswer {
    pub(crate) fn is_empty(&self) -> bool {
        self.subscribed.is_empty() && self.unsubscribed.is_empty()
    }

    /// In a sync that left out older changes.
    pub(crate) fn with_prev_batch(self, more: Option<ThreadsToken>) -> Self {
        Self { prev_batch: more.map(|more| more.to_string()), ..self }
    }
}

impl Sync {
    /// The changes of a user's thread subscriptions, newest first, from `from` on (the newest, if absent) back to `to`.
    /// The token of a sync knows how far back that sync went, so that `to` is of use only without `from`.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn thread_subscriptions(
        &self,
        requester: &Requester,
        from: Option<ThreadsToken>,
        to: Option<Pos>,
        wanted: Option<u64>,
    ) -> Result<ThreadsAnswer, ReadError> {
        let to = to.map_or(0, Pos::get);
        let from = from.unwrap_or(ThreadsToken { before: i64::MAX, after: to });
        let snapshot = self.engine.snapshot().await?;
        let (answer, more) = read_threads(&*snapshot, &requester.user_id, from, limit(wanted)).await?;
        Ok(ThreadsAnswer { end: more.map(|more| more.to_string()), ..answer })
    }
}

/// The newest changes within the token's bounds, and where older ones follow.
pub(crate) async fn read_threads(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    within: ThreadsToken,
    limit: usize,
) -> Result<(ThreadsAnswer, Option<ThreadsToken>), ReadError> {
    let (after, before) = (Pos::new(within.after), Some(Pos::new(within.before)));
    let ThreadChanges { changes, more } = thread_changes(snapshot, user_id, after, before, limit).await?;
    let mut rooms: Vec<RoomNid> = changes.iter().map(|change| change.room).collect();
    rooms.sort_unstable();
    rooms.dedup();
    let keys: Vec<_> = rooms.iter().map(|room| (*room,)).collect();
    let named = snapshot.get_all::<Room>(&keys).await?.into_iter().flatten();
    let named: BTreeMap<RoomNid, OwnedRoomId> = named.map(|room| (room.room, room.room_id)).collect();
    let next = changes.last().filter(|_| more).map(|last| last.changed.get());
    let mut answer = ThreadsAnswer::default();
    for change in changes {
        let Some(room_id) = named.get(&change.room).cloned() else { continue };
        let bump_stamp = change.changed.get();
        if change.subscribed {
            let subscribed = Subscribed { automatic: change.automatic, bump_stamp };
            answer.subscribed.entry(room_id).or_default().insert(change.root, subscribed);
        } else {
            let unsubscribed = Unsubscribed { bump_stamp };
            answer.unsubscribed.entry(room_id).or_default().insert(change.root, unsubscribed);
        }
    }
    Ok((answer, next.map(|before| ThreadsToken { before, ..within })))
}
