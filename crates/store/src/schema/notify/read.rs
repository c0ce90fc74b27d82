//! Reads of `notify`'s keyspaces for those who answer a sync.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use myelin_model::{RoomNid, default_push_rules};
use ruma::UserId;

use super::count::{Rows, Unread};
use super::{
    Notification, PushRules, PushUser, QuietSpan, RoomHighlight, ThreadBase, ThreadFollower, ThreadStep,
    ThreadSubscription, UnreadBase,
};
use crate::schema::rooms::RoomHead;
use crate::{ReadError, Reader, Scan, Snapshot};

/// The account data type whose content [`push_rules_content`] answers with.
pub const PUSH_RULES: &str = "m.push_rules";

/// How many rows of their own a user's count in one room takes into account; what lies beyond shows as no more.
pub const MAX_COUNTED: usize = 1_000;

/// How many of a user's quiet spans in one room are looked at: the latest. (Whoever reads now and then has one or two.)
pub const MAX_SPANS: usize = 64;

/// Where a room stands, for those who count what is unread in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveEnd {
    /// The room.
    pub room: RoomNid,
    /// Its notification counter.
    pub counter: i64,
    /// The order of the newest event in a thread that notifies anyone, if there is one.
    pub thread_order: Option<i64>,
    /// Up to which order, and counter, what notified was deleted.
    pub gone: Option<(i64, i64)>,
}

impl LiveEnd {
    /// The base from which unread is counted: nobody has to read what was deleted.
    pub(super) fn above_gone(&self, base: &UnreadBase) -> UnreadBase {
        let (main_order, counter) = self.main_above_gone(base);
        UnreadBase { order: self.order_above_gone(base), main_order, counter, ..base.clone() }
    }

    pub(super) fn order_above_gone(&self, base: &UnreadBase) -> i64 {
        base.order.max(self.gone.map_or(i64::MIN, |(order, _)| order))
    }

    /// The order up to which the main timeline is read, and the room's counter there.
    pub(super) fn main_above_gone(&self, base: &UnreadBase) -> (i64, i64) {
        self.gone.filter(|(order, _)| *order > base.main_order).unwrap_or((base.main_order, base.counter))
    }
}

impl From<&RoomHead> for LiveEnd {
    fn from(head: &RoomHead) -> Self {
        let (counter, thread_order) = (head.counter, head.thread_order);
        Self { room: head.room, counter, thread_order, gone: head.gone_order.zip(head.gone_counter) }
    }
}

/// What a user has not read in each of these rooms, which they have joined. A handful of reads, however many rooms.
///
/// A room whose joining was never observed has nothing unread.
///
/// # Errors
/// When the store can't be read.
pub async fn unread(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    rooms: &[LiveEnd],
) -> Result<Vec<Unread>, ReadError> {
    let keys: Vec<_> = rooms.iter().map(|live| (user_id.to_owned(), live.room)).collect();
    let bases = snapshot.get_all::<UnreadBase>(&keys).await?;
    let above = rooms.iter().zip(bases).filter_map(|(live, base)| Some((live.above_gone(&base?), *live)));
    let above: Vec<_> = above.collect();
    let known: Vec<_> = above.iter().map(|(base, live)| (base, *live)).collect();
    let rows = read_rows(snapshot, user_id, &known).await?;
    let counts =
        known.iter().zip(rows).map(|((base, live), rows)| (live.room, rows.count(base, live.counter)));
    let mut counts: HashMap<RoomNid, Unread> = counts.collect();
    Ok(rooms.iter().map(|live| counts.remove(&live.room).unwrap_or_default()).collect())
}

/// The order of the oldest event in a thread of the room that the user, whose base this is, is told of and has not read.
/// Only the newest [`MAX_COUNTED`] of them are looked at. `read` is taken for what is read of one thread besides.
///
/// # Errors
/// When the store can't be read.
pub async fn oldest_unread_in_threads(
    snapshot: &dyn Snapshot,
    base: &UnreadBase,
    live: LiveEnd,
    read: Option<&ThreadBase>,
) -> Result<Option<i64>, ReadError> {
    let base = live.above_gone(base);
    let mut rows = read_rows(snapshot, &base.user_id, &[(&base, live)]).await?.pop().unwrap_or_default();
    rows.thread_bases.retain(|known| read.is_none_or(|read| read.root != known.root));
    rows.thread_bases.extend(read.cloned());
    Ok(rows.in_threads().first().map(|item| item.order))
}

/// The rows above each of these bases of the user.
async fn read_rows(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    known: &[(&UnreadBase, LiveEnd)],
) -> Result<Vec<Rows>, ReadError> {
    let own = known.iter().map(|(base, _)| {
        let of_user = Scan::prefix::<Notification>((base.user_id.clone(), base.room), MAX_COUNTED);
        of_user.after((base.order,))
    });
    let own = snapshot.scan_all::<Notification>(own.collect()).await?;
    let of_all = known.iter().map(|(base, _)| {
        let of_room = Scan::prefix::<RoomHighlight>((base.room,), MAX_COUNTED);
        of_room.after((base.order,))
    });
    let of_all = snapshot.scan_all::<RoomHighlight>(of_all.collect()).await?;
    let mut rows: Vec<_> =
        own.into_iter().zip(of_all).map(|(own, of_all)| Rows { own, of_all, ..Rows::default() }).collect();
    read_threads(snapshot, known, &mut rows).await?;
    read_subscriptions(snapshot, user_id, known, &mut rows).await?;
    read_spans(snapshot, user_id, known, &mut rows).await?;
    Ok(rows)
}

/// The steps of threads, where there are any above the base, and what the user has read of threads.
async fn read_threads(
    snapshot: &dyn Snapshot,
    known: &[(&UnreadBase, LiveEnd)],
    rows: &mut [Rows],
) -> Result<(), ReadError> {
    let has_steps =
        |base: &UnreadBase, live: LiveEnd| live.thread_order.is_some_and(|order| order > base.order);
    let in_threads = |rows: &Rows| {
        rows.own.iter().any(|row| row.thread.is_some()) || rows.of_all.iter().any(|row| row.thread.is_some())
    };
    let places =
        known.iter().zip(rows).filter(|((base, live), rows)| has_steps(base, *live) || in_threads(rows));
    let places: Vec<_> = places.map(|((base, _), rows)| (*base, rows)).collect();
    if places.is_empty() {
        return Ok(());
    }
    let steps = places.iter().map(|(base, _)| {
        Scan::prefix::<ThreadStep>((base.room,), MAX_COUNTED).after((base.order,)).backward()
    });
    let steps = snapshot.scan_all::<ThreadStep>(steps.collect()).await?;
    let bases = places.iter().map(|(base, _)| {
        Scan::prefix::<ThreadBase>((base.user_id.clone(), base.room), MAX_COUNTED).backward()
    });
    let bases = snapshot.scan_all::<ThreadBase>(bases.collect()).await?;
    for (((_, rows), steps), bases) in places.into_iter().zip(steps).zip(bases) {
        (rows.steps, rows.thread_bases) = (steps, bases);
    }
    Ok(())
}

/// Of a user who is told only of threads that they are subscribed to, which of those with steps these are.
async fn read_subscriptions(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    known: &[(&UnreadBase, LiveEnd)],
    rows: &mut [Rows],
) -> Result<(), ReadError> {
    if rows.iter().all(|rows| rows.steps.is_empty()) {
        return Ok(());
    }
    let follower = snapshot.get::<ThreadFollower>(&(user_id.to_owned(),)).await?;
    if follower.is_none_or(|follower| !follower.filters) {
        return Ok(());
    }
    let mut keys = BTreeSet::new();
    for ((base, _), rows) in known.iter().zip(rows.iter()) {
        keys.extend(rows.steps.iter().map(|step| (base.user_id.clone(), base.room, step.root.clone())));
    }
    let keys: Vec<_> = keys.into_iter().collect();
    let found = snapshot.get_all::<ThreadSubscription>(&keys).await?;
    let found = found.into_iter().flatten().filter(|row| row.subscribed);
    let mut by_room: HashMap<RoomNid, HashMap<_, _>> = HashMap::new();
    for row in found {
        by_room.entry(row.room).or_default().insert(row.root, row.order);
    }
    for ((base, _), rows) in known.iter().zip(rows) {
        rows.subscribed = Some(by_room.remove(&base.room).unwrap_or_default());
    }
    Ok(())
}

/// The user's quiet spans. Whoever has the default rules has none, which is one read to know.
async fn read_spans(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    known: &[(&UnreadBase, LiveEnd)],
    rows: &mut [Rows],
) -> Result<(), ReadError> {
    let push_user = snapshot.get::<PushUser>(&(user_id.to_owned(),)).await?;
    if push_user.is_none_or(|push_user| push_user.rules.is_none()) {
        return Ok(());
    }
    let scans = known
        .iter()
        .map(|(base, _)| Scan::prefix::<QuietSpan>((base.user_id.clone(), base.room), MAX_SPANS).backward());
    let found = snapshot.scan_all::<QuietSpan>(scans.collect()).await?;
    for (rows, spans) in rows.iter_mut().zip(found) {
        rows.spans = spans;
    }
    Ok(())
}

/// A user's push rules, as the content of `m.push_rules`: their own, or those that everyone starts with. The latter are
/// not stored, so that a new release can bring new ones; a sync shows them beside the stored account data.
///
/// # Errors
/// When the store can't be read.
pub async fn push_rules_content(snapshot: &dyn Snapshot, user_id: &UserId) -> Result<Bytes, ReadError> {
    let stored = snapshot.get::<PushRules>(&(user_id.to_owned(),)).await?;
    Ok(stored.map_or_else(|| Bytes::from(default_push_rules(user_id)), |row| row.content))
}
