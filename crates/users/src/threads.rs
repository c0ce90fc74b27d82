//! Whether a receipt fits its thread (client-server API, "Threaded read receipts").

use myelin_store::schema::rooms::Event;
use myelin_store::{ReadError, Snapshot};
use myelin_timeline::lineage;

use crate::Thread;

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
        Thread::Main => lineage(snapshot, event).await?.root.is_none(),
        // The root belongs to the main timeline, but is also what a thread without replies begins with; and what relates
        // to the root, such as a reaction to it, is shown in the thread's view too.
        Thread::Root(root) => {
            *root == event.event_id || lineage(snapshot, event).await?.passed.contains(root)
        }
    })
}
