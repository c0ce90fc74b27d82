//! Committed events as rules judge them.

use std::collections::BTreeMap;

use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::notify::RoomHighlight;
use myelin_store::schema::rooms::{Event, Room, RoomHead};
use myelin_store::{ReadError, Reader, Snapshot};
use myelin_timeline::contents;

use crate::judge::Subject;

/// These events with what surrounds them now; none where the content is gone. Four reads, however many events.
pub(crate) async fn subjects(
    snapshot: &dyn Snapshot,
    events: &[Event],
) -> Result<Vec<Option<Subject>>, ReadError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let nids: Vec<EventNid> = events.iter().map(|event| event.event).collect();
    let contents = contents(snapshot, &nids).await?;
    let mut rooms: Vec<RoomNid> = events.iter().map(|event| event.room).collect();
    rooms.sort_unstable();
    rooms.dedup();
    let keys: Vec<_> = rooms.iter().map(|room| (*room,)).collect();
    let ids = snapshot.get_all::<Room>(&keys).await?;
    let heads = snapshot.get_all::<RoomHead>(&keys).await?;
    let rooms: BTreeMap<RoomNid, _> = rooms.into_iter().zip(ids.into_iter().zip(heads)).collect();
    // Whether its sender might notify the whole room was judged when it came.
    let keys: Vec<_> = events.iter().map(|event| (event.room, event.order.unwrap_or_default())).collect();
    let highlights = snapshot.get_all::<RoomHighlight>(&keys).await?;
    let subjects = events.iter().zip(highlights).map(|(event, highlight)| {
        let json = serde_json::from_slice(contents.get(&event.event)?).ok()?;
        let (Some(room), Some(head)) = rooms.get(&event.room)? else { return None };
        Some(Subject::new(json, &room.room_id, head.joined, highlight.is_some()))
    });
    Ok(subjects.collect())
}
