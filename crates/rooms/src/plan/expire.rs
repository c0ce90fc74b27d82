//! Deleting events that are past their retention (MSC1763).

use myelin_store::schema::erasure::Expiry;
use myelin_store::schema::rooms::{Event, EventStatus};
use myelin_store::{Batch, Durability, Snapshot};

use super::purge::{delete_content, delete_event};
use super::{Outcome, Planner};
use crate::command::ExpirePage;
use crate::{SendError, extremities};

impl Planner {
    /// Deletes those of a page of events that are past their retention as the room has it now. Of the newest event of the
    /// room, which the next one builds on, the header stays until there is a newer one.
    pub(super) async fn expire(
        &mut self,
        snapshot: &dyn Snapshot,
        page: &ExpirePage,
        batch: &mut Batch,
    ) -> Result<Outcome, SendError> {
        let mut events = myelin_timeline::load(snapshot, &page.events).await?;
        let now = i64::try_from(self.deps.env.clock.now()).unwrap_or(i64::MAX);
        let expiry = Expiry::read(snapshot, &[self.room], now).await?;
        let ends = extremities::read(&self.head.row.extremities)
            .map_err(|error| SendError::Unavailable(std::sync::Arc::new(error)))?;
        let is_end = |event: &Event| ends.iter().any(|end| end.event_id == event.event_id);
        let is_bare = |event: &Event| event.status == EventStatus::Expired;
        events.retain(|event| {
            event.room == self.room && expiry.has_taken(event) && !(is_end(event) && is_bare(event))
        });
        if events.is_empty() {
            return Ok(Outcome::RepeatsStored(None));
        }
        self.take_along(snapshot, &events, page.below, batch).await?;
        for event in &events {
            if is_end(event) {
                delete_content(batch, event);
                batch.put(&Event { status: EventStatus::Expired, ..event.clone() });
            } else {
                delete_event(batch, event);
            }
        }
        batch.durability = Durability::Required;
        Ok(Outcome::Planned(None))
    }
}
