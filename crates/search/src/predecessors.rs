//! Rooms that were replaced: who searches a room means its history too, and that begins in its predecessors.

use myelin_model::{EventNid, RoomNid};
use myelin_store::schema::rooms::{RoomById, State};
use myelin_store::{ReadError, Reader, Snapshot};
use myelin_timeline::contents;
use ruma::OwnedRoomId;
use serde::Deserialize;

/// How many upgrades back are followed.
const MOST_UPGRADES: usize = 16;

#[derive(Deserialize)]
struct Create {
    content: Content,
}

#[derive(Deserialize)]
struct Content {
    predecessor: Option<Predecessor>,
}

#[derive(Deserialize)]
struct Predecessor {
    room_id: OwnedRoomId,
}

/// The rooms and those they replaced, as their create events say. That anybody can name any room there opens nothing: the
/// asker must have been in it.
pub(crate) async fn with_predecessors(
    snapshot: &dyn Snapshot,
    rooms: Vec<RoomNid>,
) -> Result<Vec<RoomNid>, ReadError> {
    let mut all = rooms.clone();
    let mut newest = rooms;
    for _ in 0..MOST_UPGRADES {
        let key = |room: &RoomNid| (*room, "m.room.create".to_owned(), String::new());
        let keys: Vec<_> = newest.iter().map(key).collect();
        let creates = snapshot.get_all::<State>(&keys).await?;
        let creates: Vec<EventNid> = creates.into_iter().flatten().map(|row| row.event).collect();
        let contents = contents(snapshot, &creates).await?;
        let named = contents.values().filter_map(|json| serde_json::from_slice::<Create>(json).ok());
        let named: Vec<_> =
            named.filter_map(|create| create.content.predecessor).map(|before| (before.room_id,)).collect();
        let found = snapshot.get_all::<RoomById>(&named).await?;
        newest = found.into_iter().flatten().map(|row| row.room).filter(|room| !all.contains(room)).collect();
        newest.sort_unstable();
        newest.dedup();
        if newest.is_empty() {
            break;
        }
        all.extend(&newest);
    }
    Ok(all)
}
