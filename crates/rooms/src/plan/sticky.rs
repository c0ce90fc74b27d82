//! Sticky events (MSC4354) being sent.

use myelin_store::schema::sticky::StickyEvent;
use myelin_store::{Batch, Reader, Scan, Snapshot};

use super::Planner;
use crate::rows::Placed;
use crate::sticky::MAX_STICKY;
use crate::{Draft, Refusal, SendError};

impl Planner {
    /// Refuses one more sticky event of a user who has as many in the room as they may.
    pub(super) async fn admit_sticky(&self, snapshot: &dyn Snapshot, draft: &Draft) -> Result<(), SendError> {
        if draft.sticky.is_none_or(|duration| duration == 0) {
            return Ok(());
        }
        let now = self.deps.now();
        let of_sender = (self.room, draft.sender.clone());
        let live = Scan::index::<StickyEvent>(StickyEvent::BY_SENDER, of_sender, MAX_STICKY).after((now,));
        let live = snapshot.scan::<StickyEvent>(live).await?;
        let layers = [&self.overlay.next, &self.overlay.committing];
        let planned: usize = layers.iter().filter_map(|layer| layer.sticky.get(&draft.sender)).sum();
        if live.len() + planned < MAX_STICKY {
            return Ok(());
        }
        let first = live.first().map_or(0, |row| row.until.saturating_sub(now));
        let retry_after = u64::try_from(first).unwrap_or_default();
        Err(Refusal::TooManySticky { retry_after }.into())
    }

    /// Notes an event that is sticky.
    pub(super) fn write_sticky(&mut self, placed: &Placed<'_>, now: i64, batch: &mut Batch) {
        let Some(until) = placed.sticky_until.filter(|until| *until > now) else { return };
        let sender = placed.pdu.sender().to_owned();
        *self.overlay.next.sticky.entry(sender.clone()).or_default() += 1;
        batch.put(&StickyEvent { room: self.room, pos: placed.pos, event: placed.event, sender, until });
    }
}
