//! Reads of `notify`'s keyspaces for those who answer a sync.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use myelin_model::{RoomNid, default_push_rules};
use ruma::UserId;

use super::{Notification, PushRules, PushUser, QuietSpan, RoomHighlight, UnreadBase};
use crate::{ReadError, Reader, Scan, Snapshot};

/// The account data type whose content [`push_rules_content`] answers with.
pub const PUSH_RULES: &str = "m.push_rules";

/// How many rows of their own a user's count in one room takes into account; what lies beyond shows as no more.
pub const MAX_COUNTED: usize = 1_000;

/// How many of a user's quiet spans in one room are looked at: the latest. (Whoever reads now and then has one or two.)
pub const MAX_SPANS: usize = 64;

/// What a user has not read in a room (`unread_notifications` of a sync response).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Events that notify the user.
    pub notifications: u64,
    /// Those of them that are highlights.
    pub highlights: u64,
}

/// What a user has not read in each of these rooms, which they have joined, given with the room's notification counter
/// (`room_head.counter`). A handful of reads, however many rooms.
///
/// A room whose joining was never observed has nothing unread.
///
/// # Errors
/// When the store can't be read.
pub async fn unread(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    rooms: &[(RoomNid, i64)],
) -> Result<Vec<Unread>, ReadError> {
    let keys: Vec<_> = rooms.iter().map(|(room, _)| (user_id.to_owned(), *room)).collect();
    let bases = snapshot.get_all::<UnreadBase>(&keys).await?;
    let known: Vec<&UnreadBase> = bases.iter().flatten().collect();
    let own = known.iter().map(|base| {
        let of_user = Scan::prefix::<Notification>((base.user_id.clone(), base.room), MAX_COUNTED);
        of_user.after((base.order,))
    });
    let own = snapshot.scan_all::<Notification>(own.collect()).await?;
    let of_all = known.iter().map(|base| {
        let of_room = Scan::prefix::<RoomHighlight>((base.room,), MAX_COUNTED);
        of_room.after((base.order,))
    });
    let of_all = snapshot.scan_all::<RoomHighlight>(of_all.collect()).await?;
    let mut spans = quiet_spans(snapshot, user_id, &known).await?;
    let rows: HashMap<RoomNid, (Vec<Notification>, Vec<RoomHighlight>)> =
        known.iter().map(|base| base.room).zip(own.into_iter().zip(of_all)).collect();
    let counts = rooms.iter().zip(bases).map(|((room, counter), base)| {
        let Some(base) = base else { return Unread::default() };
        let (own, of_all) = rows.get(room).map_or((&[][..], &[][..]), |(own, all)| (own, all));
        let spans = spans.remove(room).unwrap_or_default();
        count((base.counter, *counter), &spans, own, of_all)
    });
    Ok(counts.collect())
}

/// The user's quiet spans of these rooms. Whoever has the default rules has none, which is one read to know.
async fn quiet_spans(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    known: &[&UnreadBase],
) -> Result<HashMap<RoomNid, Vec<QuietSpan>>, ReadError> {
    let push_user = snapshot.get::<PushUser>(&(user_id.to_owned(),)).await?;
    if push_user.is_none_or(|push_user| push_user.rules.is_none()) {
        return Ok(HashMap::new());
    }
    let scans = known
        .iter()
        .map(|base| Scan::prefix::<QuietSpan>((base.user_id.clone(), base.room), MAX_SPANS).backward());
    let found = snapshot.scan_all::<QuietSpan>(scans.collect()).await?;
    Ok(known.iter().map(|base| base.room).zip(found).collect())
}

/// The counts of one room from what the counter says and the rows above the base.
fn count(
    (from, to): (i64, i64),
    spans: &[QuietSpan],
    own: &[Notification],
    of_all: &[RoomHighlight],
) -> Unread {
    let quiet = |span: &QuietSpan| (span.until.unwrap_or(to).min(to) - span.from.max(from)).max(0);
    let is_counted = |step: i64| {
        !spans.iter().any(|span| span.from < step && span.until.is_none_or(|until| step <= until))
    };
    let beyond = |row: &Notification| i64::from(row.notifies) - i64::from(row.step.is_some_and(is_counted));
    let said: HashSet<i64> = own.iter().map(|row| row.order).collect();
    let highlights = own.iter().filter(|row| row.highlight).count()
        + of_all.iter().filter(|row| !said.contains(&row.order)).count();
    let notifications =
        to - from - spans.iter().map(quiet).sum::<i64>() + own.iter().map(beyond).sum::<i64>();
    Unread {
        notifications: u64::try_from(notifications).unwrap_or(0),
        highlights: u64::try_from(highlights).unwrap_or(u64::MAX),
    }
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
