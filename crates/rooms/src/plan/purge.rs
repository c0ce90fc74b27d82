//! Deleting events that are no state: a page of a purge of history.

use myelin_store::schema::erasure::Erasure;
use myelin_store::schema::moderation::RoomJob;
use myelin_store::schema::rooms::{Event, EventContent, Relation, Thread, ThreadParticipant};
use myelin_store::{Batch, Durability, Reader, Scan, Snapshot};
use ruma::OwnedEventId;

use super::{Outcome, Planner};
use crate::command::PurgePage;
use crate::threads::ThreadLoss;
use crate::{SendError, sticky};
use myelin_timeline::THREAD;

impl Planner {
    /// Deletes a page of events, and what was derived from them.
    pub(super) async fn purge(
        &mut self,
        snapshot: &dyn Snapshot,
        page: &PurgePage,
        batch: &mut Batch,
    ) -> Result<Outcome, SendError> {
        let stored = snapshot.get::<RoomJob>(&(page.job.job,)).await?;
        if stored.is_none_or(|stored| stored != page.job) {
            return Ok(Outcome::RepeatsStored(None));
        }
        let events = myelin_timeline::load(snapshot, &page.events).await?;
        self.take_along(snapshot, &events, page.below, batch).await?;
        for event in &events {
            delete_event(batch, event);
        }
        batch.put(&page.next);
        batch.durability = Durability::Required;
        Ok(Outcome::Planned(None))
    }

    /// Deletes what was derived from events that are about to be deleted. What stood below `below` counts as unread no more.
    pub(super) async fn take_along(
        &mut self,
        snapshot: &dyn Snapshot,
        events: &[Event],
        below: i64,
        batch: &mut Batch,
    ) -> Result<(), SendError> {
        // What a redaction that is still under way takes can't be taken twice.
        let left = events.iter().filter(|event| !self.overlay.is_taken(event.event));
        let scan = |event: &Event| Scan::index::<Relation>(Relation::BY_EVENT, (event.event,), 1);
        let relations = snapshot.scan_all::<Relation>(left.map(scan).collect()).await?;
        let relations: Vec<Relation> = relations.into_iter().flatten().collect();
        let replies: Vec<&Relation> =
            relations.iter().filter(|relation| relation.rel_type == THREAD).collect();
        let losses = ThreadLoss::read(snapshot, &self.overlay, self.room, &replies).await?;
        for loss in losses {
            loss.write(&mut self.overlay, batch);
        }
        for relation in &relations {
            batch.delete::<Relation>(&(relation.target.clone(), relation.order, relation.event));
        }
        for event in events {
            self.overlay.next.taken.insert(event.event);
            self.delete_thread(&event.event_id, batch);
        }
        self.deps.observer.erased(events, batch);
        let numbers: Vec<i64> = events.iter().map(|event| event.event.0).collect();
        if !numbers.is_empty() {
            let pos = batch.next_pos();
            batch.put(&Erasure { pos, room: self.room, events: serde_json::json!(numbers).to_string() });
        }
        let gone = events.iter().filter(|event| event.order.is_some_and(|order| order < below));
        if let Some(last) = gone.max_by_key(|event| event.order) {
            self.head.forget_up_to(last);
        }
        Ok(())
    }

    /// A thread goes with its root; its replies stay, as long as they are kept.
    fn delete_thread(&mut self, root: &OwnedEventId, batch: &mut Batch) {
        batch.delete::<Thread>(&(self.room, root.clone()));
        batch.delete_range(Scan::prefix::<ThreadParticipant>((self.room, root.clone()), usize::MAX));
        self.overlay.next.threads.insert(root.clone(), None);
    }
}

/// Deletes an event, its content, and what relates to it.
pub(crate) fn delete_event(batch: &mut Batch, event: &Event) {
    batch.delete::<Event>(&(event.event,));
    delete_content(batch, event);
}

/// Deletes the content of an event, and what relates to it.
pub(super) fn delete_content(batch: &mut Batch, event: &Event) {
    batch.delete::<EventContent>(&(event.event,));
    sticky::forget(batch, event);
    batch.delete_range(Scan::prefix::<Relation>((event.event_id.clone(),), usize::MAX));
}
