//! Thread subscriptions (MSC4306): which threads a user wants to be told of.
//!
//! A user who never subscribed to a thread is told of all of them, as ever: their clients know nothing of subscriptions,
//! and the rule that silences the threads one is not subscribed to would silence them all. From their first subscription
//! on they are a [`ThreadFollower`], and both rules are in force for them, as far as they left them enabled.
//!
//! An event in a thread is judged once for all who follow threads by the default rules: it is a [`ThreadStep`], and reading
//! the counts looks up which of these a user is subscribed to.
//!
//! [`ThreadFollower`]: myelin_store::schema::notify::ThreadFollower
//! [`ThreadStep`]: myelin_store::schema::notify::ThreadStep

mod change;

use std::collections::HashMap;

use myelin_model::RoomNid;
use myelin_store::schema::notify::{ThreadStanding, thread_standings};
use myelin_store::schema::rooms::Event;
use myelin_store::{ReadError, Snapshot};
use myelin_timeline::roots;
use ruma::{OwnedEventId, OwnedUserId};

pub use change::{Subscription, SubscriptionError};

/// How these users stand to the thread of an event, given by its room, its root and the event's order; of those who
/// follow threads.
pub(crate) async fn standings(
    snapshot: &dyn Snapshot,
    thread: Option<(RoomNid, OwnedEventId, i64)>,
    users: impl Iterator<Item = &OwnedUserId>,
) -> Result<HashMap<OwnedUserId, ThreadStanding>, ReadError> {
    let Some((room, root, order)) = thread else { return Ok(HashMap::new()) };
    let asked = users.map(|user_id| ((user_id.clone(), room, root.clone()), order));
    let asked: Vec<_> = asked.collect();
    let found = thread_standings(snapshot, &asked).await?;
    let each = asked.into_iter().zip(found);
    Ok(each.filter_map(|(((user_id, ..), _), standing)| Some((user_id, standing?))).collect())
}

/// Whether the user is subscribed to the threads of these events, each as push rules ask for it.
pub(crate) async fn subscribed(
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
    events: &[Event],
) -> Result<Vec<Option<bool>>, ReadError> {
    let roots = roots(snapshot, events).await?;
    let asked = events.iter().zip(&roots).filter_map(|(event, root)| {
        Some(((user_id.clone(), event.room, root.clone()?), event.order.unwrap_or_default()))
    });
    let mut found = thread_standings(snapshot, &asked.collect::<Vec<_>>()).await?.into_iter();
    let each = roots.iter().map(|root| {
        let standing = root.as_ref().and_then(|_| found.next().flatten())?;
        Some(standing.subscribed)
    });
    Ok(each.collect())
}
