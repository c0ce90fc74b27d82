//! Events by their ids.

use bytes::Bytes;
use myelin_model::EventNid;
use myelin_store::schema::rooms::{Event, EventContent};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{EventId, OwnedEventId};
use rustc_hash::FxHashMap;

/// The headers of these events, in their order; those that the store lacks are left out.
///
/// # Errors
/// When the store can't be read.
pub async fn load(snapshot: &dyn Snapshot, events: &[EventNid]) -> Result<Vec<Event>, ReadError> {
    let keys: Vec<_> = events.iter().map(|event| (*event,)).collect();
    Ok(snapshot.get_all::<Event>(&keys).await?.into_iter().flatten().collect())
}

/// The headers of the events with these ids, each `None` where the store lacks it.
///
/// # Errors
/// When the store can't be read.
pub async fn load_by_id(
    snapshot: &dyn Snapshot,
    event_ids: &[&EventId],
) -> Result<Vec<Option<Event>>, ReadError> {
    let scan = |id: &&EventId| Scan::index::<Event>(Event::BY_ID, (OwnedEventId::from(*id),), 1);
    let found = snapshot.scan_all::<Event>(event_ids.iter().map(scan).collect()).await?;
    Ok(found.into_iter().map(|mut rows| rows.pop()).collect())
}

/// The stored JSON of these events; those without (erased, or purged) are left out.
///
/// # Errors
/// When the store can't be read.
pub async fn contents(
    snapshot: &dyn Snapshot,
    events: &[EventNid],
) -> Result<FxHashMap<EventNid, Bytes>, ReadError> {
    let keys: Vec<_> = events.iter().map(|event| (*event,)).collect();
    let found = snapshot.get_all::<EventContent>(&keys).await?;
    Ok(found.into_iter().flatten().map(|row| (row.event, row.json)).collect())
}
