//! Counts that need no rows: most rooms of most users, most of the time.

use std::sync::Arc;

use myelin_model::RoomNid;
use ruma::UserId;

use super::{Counts, LiveEnd, Notification, PushUser, QuietSpan, RoomHighlight, UnreadBase};
use crate::{ReadError, Reader, Scan, Snapshot};

/// Where a user's count in a room begins, while no row of the user's own says otherwise. It stands until something of the
/// user's own is committed, however much comes into the room.
#[derive(Clone, Debug)]
pub struct PlainCount {
    base: Option<Arc<UnreadBase>>,
}

impl PlainCount {
    /// What is unread in the room as a whole where the room stands there. `None` where that takes more than the room's
    /// counter to know: something is unread in a thread, or a highlight for everyone.
    #[must_use]
    pub fn at(&self, live: LiveEnd, newest_highlight: Option<i64>) -> Option<Counts> {
        let Some(base) = &self.base else { return Some(Counts::default()) };
        let (read, (_, counter)) = (live.order_above_gone(base), live.main_above_gone(base));
        let is_above = |order: Option<i64>| order.is_some_and(|order| order > read);
        if is_above(live.thread_order) || is_above(newest_highlight) {
            return None;
        }
        let notifications = u64::try_from(live.counter - counter).unwrap_or(0);
        Some(Counts { notifications, highlights: 0 })
    }
}

/// Of each of these rooms, where the user's count begins, if it is plain. A handful of reads, however many rooms.
///
/// # Errors
/// When the store can't be read.
pub async fn plain_counts(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    rooms: &[RoomNid],
) -> Result<Vec<Option<PlainCount>>, ReadError> {
    if rooms.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<_> = rooms.iter().map(|room| (user_id.to_owned(), *room)).collect();
    let bases = snapshot.get_all::<UnreadBase>(&keys).await?;
    let own = keys.iter().zip(&bases).map(|(key, base)| {
        let above = base.as_ref().map_or(i64::MAX, |base| base.order);
        Scan::prefix::<Notification>(key.clone(), 1).after((above,))
    });
    let own = snapshot.scan_all::<Notification>(own.collect()).await?;
    let push_user = snapshot.get::<PushUser>(&(user_id.to_owned(),)).await?;
    let quiet = if push_user.is_some_and(|push_user| push_user.rules.is_some()) {
        let spans = keys.into_iter().map(|key| Scan::prefix::<QuietSpan>(key, 1));
        snapshot.scan_all::<QuietSpan>(spans.collect()).await?
    } else {
        vec![Vec::new(); rooms.len()]
    };
    let each = bases.into_iter().zip(own).zip(quiet);
    let plain = |((base, own), quiet): ((Option<UnreadBase>, Vec<_>), Vec<_>)| {
        (own.is_empty() && quiet.is_empty()).then(|| PlainCount { base: base.map(Arc::new) })
    };
    Ok(each.map(plain).collect())
}

/// Of each of these rooms, the order of the newest event that is a highlight for everyone.
///
/// # Errors
/// When the store can't be read.
pub async fn newest_highlights(
    snapshot: &dyn Snapshot,
    rooms: &[RoomNid],
) -> Result<Vec<Option<i64>>, ReadError> {
    let newest = |room: &RoomNid| Scan::prefix::<RoomHighlight>((*room,), 1).backward();
    let newest = snapshot.scan_all::<RoomHighlight>(rooms.iter().map(newest).collect()).await?;
    Ok(newest.into_iter().map(|rows| rows.first().map(|row| row.order)).collect())
}
