//! Which thread an event belongs to (client-server API, "Threaded read receipts").

use myelin_store::schema::rooms::{Event, Relation};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::OwnedEventId;

use crate::Thread;

/// How many relations are followed to find a thread, as the specification recommends.
const HOPS: usize = 3;

/// Whether a receipt for this thread may name the event.
pub(crate) async fn belongs(
    snapshot: &dyn Snapshot,
    event: &Event,
    thread: &Thread,
) -> Result<bool, ReadError> {
    // A redacted event has lost its relations: its client still knows where it stood.
    if event.redacted_by.is_some() {
        return Ok(true);
    }
    Ok(match thread {
        Thread::Unthreaded => true,
        Thread::Main => root_of(snapshot, event).await?.is_none(),
        // The root belongs to the main timeline, but is also what a thread without replies begins with.
        Thread::Root(root) => {
            *root == event.event_id || root_of(snapshot, event).await?.as_ref() == Some(root)
        }
    })
}

/// The root of the event's thread; none for events of the main timeline.
async fn root_of(snapshot: &dyn Snapshot, event: &Event) -> Result<Option<OwnedEventId>, ReadError> {
    let mut next = event.event;
    for hop in 0..HOPS {
        let scan = Scan::index::<Relation>(Relation::BY_EVENT, (next,), 1);
        let Some(relation) = snapshot.scan::<Relation>(scan).await?.pop() else { return Ok(None) };
        if relation.rel_type == "m.thread" {
            return Ok(Some(relation.target));
        }
        if hop + 1 == HOPS {
            break;
        }
        let scan = Scan::index::<Event>(Event::BY_ID, (relation.target,), 1);
        let parent = snapshot.scan::<Event>(scan).await?.pop();
        let Some(parent) = parent.filter(|parent| parent.room == event.room) else { return Ok(None) };
        next = parent.event;
    }
    Ok(None)
}
