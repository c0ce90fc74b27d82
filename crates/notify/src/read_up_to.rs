//! What a receipt adds to its own commit.

use myelin_model::RoomNid;
use myelin_store::schema::notify::{LiveEnd, MAX_COUNTED, ThreadBase, UnreadBase, oldest_unread_in_threads};
use myelin_store::schema::rooms::RoomHead;
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use ruma::{EventId, UserId};

use crate::Notify;
use crate::observe::forget;

/// The part of a room that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// All of it, whatever thread.
    All,
    /// What is in no thread.
    Main,
    /// The thread with this root.
    Thread(&'a EventId),
}

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
    /// What of the room they read.
    pub part: Part<'a>,
}

impl Notify {
    /// Marks as read what a receipt is for, in the batch that commits the receipt. The batch expects the base it was
    /// planned on: on a conflict, plan again.
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
        let Some(base) = snapshot.get::<UnreadBase>(&key).await? else {
            batch.expect_absent::<UnreadBase>(&key);
            if read.part == Part::All {
                restart(batch, read);
            }
            // Nothing is counted without a base, so there is nothing to take away of a part.
            return Ok(());
        };
        if base.order >= read.order {
            return Ok(());
        }
        batch.expect_column::<UnreadBase>(&key, "changed", &base.changed);
        let (mut next, mut thread) = (base, None);
        match read.part {
            Part::Main if next.main_order >= read.order => return Ok(()),
            Part::All | Part::Main if next.main_order < read.order => {
                (next.main_order, next.counter) = (read.order, read.counter);
            }
            Part::All | Part::Main => {}
            Part::Thread(root) => {
                let (user_id, room, root) = (key.0.clone(), read.room, root.to_owned());
                thread = Some(ThreadBase { user_id, room, root, order: read.order });
                if !move_thread(snapshot, batch, thread.as_ref()).await? {
                    return Ok(());
                }
            }
        }
        if read.part == Part::All {
            next.order = read.order;
        }
        raise(snapshot, batch, next, thread).await
    }
}

fn restart(batch: &mut Batch, read: &ReadTo<'_>) {
    let ReadTo { room, order, counter, .. } = *read;
    let (user_id, changed) = (read.user_id.to_owned(), batch.next_pos());
    batch.put(&UnreadBase { user_id, room, order, main_order: order, counter, changed });
}

/// Moves up to where a thread is read, unless it is read further.
async fn move_thread(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    thread: Option<&ThreadBase>,
) -> Result<bool, ReadError> {
    let Some(thread) = thread else { return Ok(false) };
    let key = (thread.user_id.clone(), thread.room, thread.root.clone());
    match snapshot.get::<ThreadBase>(&key).await? {
        Some(known) if known.order >= thread.order => return Ok(false),
        Some(known) => batch.expect_column::<ThreadBase>(&key, "order", &known.order),
        None => batch.expect_absent::<ThreadBase>(&key),
    }
    batch.put(thread);
    Ok(true)
}

/// Writes the base, with the order up to which all is read as high as it can be: below what is unread in any thread.
/// What it passes is deleted.
async fn raise(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    mut base: UnreadBase,
    thread: Option<ThreadBase>,
) -> Result<(), ReadError> {
    let head = snapshot.get::<RoomHead>(&(base.room,)).await?;
    let live = head.as_ref().map(LiveEnd::from);
    let oldest = match live {
        Some(live) => oldest_unread_in_threads(snapshot, &base, live, thread.as_ref()).await?,
        None => None,
    };
    let free = oldest.map_or(base.main_order, |oldest| base.main_order.min(oldest.saturating_sub(1)));
    base.order = base.order.max(free);
    forget(batch, &base.user_id, base.room, base.order);
    let bases = Scan::prefix::<ThreadBase>((base.user_id.clone(), base.room), MAX_COUNTED);
    for passed in snapshot.scan::<ThreadBase>(bases).await? {
        let is_moved = thread.as_ref().is_some_and(|thread| thread.root == passed.root);
        if passed.order <= base.order && !is_moved {
            batch.delete::<ThreadBase>(&(passed.user_id, passed.room, passed.root));
        }
    }
    base.changed = batch.next_pos();
    batch.put(&base);
    Ok(())
}
