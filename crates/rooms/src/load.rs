//! Reading a room's head and state from the store.

use std::collections::HashMap;

use myelin_model::{EventNid, RoomNid};
use myelin_pdu::{Pdu, RoomRules};
use myelin_room_core::key::StateKey;
use myelin_room_core::machine::StateEvent;
use myelin_store::schema::rooms::{Event, EventContent, Room, RoomById, RoomHead, RoomSummary, State};
use myelin_store::{ReadError, Reader, RowError, Snapshot};
use ruma::{OwnedRoomId, RoomId};

/// The rows of a room that its owner keeps in memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) room: Room,
    pub(crate) head: RoomHead,
    pub(crate) summary: RoomSummary,
}

/// The interned id of a room, if this server knows it.
pub(crate) async fn room_nid(
    snapshot: &dyn Snapshot,
    room_id: &RoomId,
) -> Result<Option<RoomNid>, ReadError> {
    let key: (OwnedRoomId,) = (room_id.to_owned(),);
    Ok(snapshot.get::<RoomById>(&key).await?.map(|row| row.room))
}

/// The rows of a room, or `None` where one is missing.
pub(crate) async fn room(snapshot: &dyn Snapshot, room: RoomNid) -> Result<Option<Loaded>, ReadError> {
    let Some(row) = snapshot.get::<Room>(&(room,)).await? else { return Ok(None) };
    let Some(head) = snapshot.get::<RoomHead>(&(room,)).await? else { return Ok(None) };
    let summary = snapshot.get::<RoomSummary>(&(room,)).await?;
    let summary = summary.unwrap_or_else(|| RoomSummary::empty(room));
    Ok(Some(Loaded { room: row, head, summary }))
}

/// An event with its header, as stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) header: Event,
    pub(crate) pdu: Pdu,
}

/// The events with these numbers; those whose content is gone are left out.
pub(crate) async fn events(
    snapshot: &dyn Snapshot,
    rules: &'static RoomRules,
    events: &[EventNid],
) -> Result<HashMap<EventNid, Stored>, ReadError> {
    let keys: Vec<(EventNid,)> = events.iter().map(|event| (*event,)).collect();
    let headers = snapshot.get_all::<Event>(&keys).await?;
    let contents = snapshot.get_all::<EventContent>(&keys).await?;
    let mut found = HashMap::with_capacity(events.len());
    for (header, content) in headers.into_iter().zip(contents) {
        if let (Some(header), Some(content)) = (header, content) {
            let pdu = Pdu::from_stored(content.json, header.event_id.clone(), rules).map_err(|error| {
                RowError { keyspace: "event_content", column: "json", problem: error.to_string() }
            })?;
            found.insert(header.event, Stored { header, pdu });
        }
    }
    Ok(found)
}

/// The current state events under these keys, in their order.
pub(crate) async fn state(
    snapshot: &dyn Snapshot,
    room: RoomNid,
    rules: &'static RoomRules,
    keys: &[StateKey],
) -> Result<Vec<Option<StateEvent>>, ReadError> {
    let rows =
        snapshot.get_all::<State>(&keys.iter().map(|key| state_key(room, key)).collect::<Vec<_>>()).await?;
    let nids: Vec<EventNid> = rows.iter().flatten().map(|row| row.event).collect();
    let stored = events(snapshot, rules, &nids).await?;
    let event_of = |row: State| {
        let stored = stored.get(&row.event)?;
        Some(StateEvent::from(stored.pdu.clone()))
    };
    Ok(rows.into_iter().map(|row| row.and_then(event_of)).collect())
}

/// The key of a state row.
pub(crate) fn state_key(room: RoomNid, key: &StateKey) -> (RoomNid, String, String) {
    (room, key.event_type.as_str().to_owned(), key.state_key.to_string())
}
