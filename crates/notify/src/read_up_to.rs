//! What a receipt adds to its own commit.

use myelin_model::RoomNid;
use myelin_store::schema::notify::{Notification, UnreadBase};
use myelin_store::schema::rooms::{Event, Relation};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use ruma::{EventId, OwnedEventId, UserId};

use crate::Notify;
use crate::observe::forget;

/// How many events of a thread one receipt marks as read; more of them need another receipt, or one for the room.
pub const MAX_THREAD_EVENTS: usize = 1_000;

/// How far a user has read.
#[derive(Clone, Copy, Debug)]
pub struct ReadTo<'a> {
    /// Who.
    pub user_id: &'a UserId,
    /// In which room.
    pub room: RoomNid,
    /// The order of the last event they read.
    pub order: i64,
    /// The room's notification counter after that event.
    pub counter: i64,
    /// The root of the thread they read; none for the room as a whole and for its main timeline.
    pub thread: Option<&'a EventId>,
}

impl Notify {
    /// Marks as read what a receipt is for, in the batch that commits the receipt. The batch expects the base it was
    /// planned on: on a conflict, plan again.
    ///
    /// A receipt for the main timeline reads the threads up to its event too: one counter serves the whole room, and
    /// whoever sees the main timeline sees that its threads moved. A receipt for a thread reads only the thread's events.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn read_up_to(
        &self,
        snapshot: &dyn Snapshot,
        batch: &mut Batch,
        read: &ReadTo<'_>,
    ) -> Result<(), ReadError> {
        let key = (read.user_id.to_owned(), read.room);
        let base = snapshot.get::<UnreadBase>(&key).await?;
        if base.as_ref().is_some_and(|base| base.order >= read.order) {
            return Ok(());
        }
        match &base {
            Some(base) => batch.expect_column::<UnreadBase>(&key, "order", &base.order),
            None => batch.expect_absent::<UnreadBase>(&key),
        }
        match (read.thread, base) {
            (Some(root), Some(base)) => {
                let (order, changed) = (base.order, batch.next_pos());
                batch.put(&UnreadBase { changed, ..base });
                read_thread(snapshot, batch, read, root, order).await
            }
            // Nothing is counted without a base, so there is nothing to take away.
            (Some(_), None) => Ok(()),
            (None, _) => {
                forget(batch, &key.0, read.room, read.order);
                let (user_id, room) = key;
                let (order, counter, changed) = (read.order, read.counter, batch.next_pos());
                batch.put(&UnreadBase { user_id, room, order, counter, changed });
                Ok(())
            }
        }
    }
}

/// Takes the events of a thread out of the count, one by one: they stand between others that stay unread.
async fn read_thread(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    read: &ReadTo<'_>,
    root: &EventId,
    base: i64,
) -> Result<(), ReadError> {
    let in_thread = (OwnedEventId::from(root), "m.thread".to_owned());
    let scan = Scan::index::<Relation>(Relation::BY_TYPE, in_thread, MAX_THREAD_EVENTS);
    let scan = scan.after((base,)).up_to((read.order,)).backward();
    let relations = snapshot.scan::<Relation>(scan).await?;
    let keys: Vec<_> = relations.iter().filter(|row| row.room == read.room).map(|row| (row.event,)).collect();
    let events: Vec<Event> = snapshot.get_all::<Event>(&keys).await?.into_iter().flatten().collect();
    let before = events.iter().map(|event| {
        let timeline = Scan::index::<Event>(Event::BY_ORDER, (read.room,), 1);
        timeline.after((None::<i64>,)).before((event.order,)).backward()
    });
    let before = snapshot.scan_all::<Event>(before.collect()).await?;
    for (event, before) in events.iter().zip(before) {
        let Some(order) = event.order else { continue };
        let (user_id, room) = (read.user_id.to_owned(), read.room);
        if event.counter > before.first().map_or(0, |before| before.counter) {
            let (event, step) = (event.event, Some(event.counter));
            batch.put(&Notification { user_id, room, order, event, step, notifies: false, highlight: false });
        } else {
            batch.delete::<Notification>(&(user_id, room, order));
        }
    }
    Ok(())
}
