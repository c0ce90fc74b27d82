//! Reads of thread subscriptions (MSC4306, MSC4308).

use std::collections::{HashMap, HashSet};

use myelin_model::{Pos, RoomNid};
use ruma::{OwnedEventId, OwnedUserId, UserId};

use super::{ThreadFollower, ThreadSubscription};
use crate::{ReadError, Reader, Scan, Snapshot};

/// How a user stands to the thread of an event, as push rules ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadStanding {
    /// They were subscribed to it before the event came.
    pub subscribed: bool,
    /// They are told only of threads that they are subscribed to.
    pub filters: bool,
}

/// How each of these users stands to a thread, given by its room and root, where an event with this order came into it.
/// `None` of users who never subscribed to any. Two reads, however many.
///
/// # Errors
/// When the store can't be read.
pub async fn thread_standings(
    snapshot: &dyn Snapshot,
    asked: &[((OwnedUserId, RoomNid, OwnedEventId), i64)],
) -> Result<Vec<Option<ThreadStanding>>, ReadError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let users: HashSet<&OwnedUserId> = asked.iter().map(|((user_id, ..), _)| user_id).collect();
    let keys: Vec<_> = users.into_iter().map(|user_id| (user_id.clone(),)).collect();
    let followers = snapshot.get_all::<ThreadFollower>(&keys).await?.into_iter().flatten();
    let filters: HashMap<OwnedUserId, bool> = followers.map(|row| (row.user_id, row.filters)).collect();
    let known: Vec<_> = asked.iter().filter(|((user_id, ..), _)| filters.contains_key(user_id)).collect();
    let keys: Vec<_> = known.iter().map(|(key, _)| key.clone()).collect();
    let mut rows = snapshot.get_all::<ThreadSubscription>(&keys).await?.into_iter();
    let standing = |((user_id, ..), order): &((OwnedUserId, RoomNid, OwnedEventId), i64)| {
        let filters = *filters.get(user_id)?;
        let row = rows.next().flatten();
        let subscribed = row.is_some_and(|row| row.subscribed && row.order < *order);
        Some(ThreadStanding { subscribed, filters })
    };
    Ok(asked.iter().map(standing).collect())
}

/// What changed of a user's subscriptions.
#[derive(Clone, Debug, Default)]
pub struct ThreadChanges {
    /// The newest first.
    pub changes: Vec<ThreadSubscription>,
    /// There are older ones.
    pub more: bool,
}

/// The newest changes of a user's subscriptions after one position and before another, at most so many. Of each
/// subscription only the last change is known. It costs what it answers.
///
/// # Errors
/// When the store can't be read.
pub async fn thread_changes(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    after: Pos,
    before: Option<Pos>,
    limit: usize,
) -> Result<ThreadChanges, ReadError> {
    let by_change = ThreadSubscription::BY_CHANGE;
    let most = limit.saturating_add(1);
    let scan = Scan::index::<ThreadSubscription>(by_change, (user_id.to_owned(),), most).backward();
    let scan = match before {
        Some(before) => scan.after((after,)).before((before,)),
        None => scan.after((after,)),
    };
    let mut changes = snapshot.scan::<ThreadSubscription>(scan).await?;
    let more = changes.len() > limit;
    changes.truncate(limit);
    Ok(ThreadChanges { changes, more })
}
