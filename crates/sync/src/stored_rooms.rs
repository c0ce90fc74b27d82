//! A user's rooms as they are stored: written behind for users with many rooms, so that after a restart a list does not
//! have to be made from all of them.
//!
//! What is stored is a copy of what the log says up to its position. An old copy costs the reading of what changed since.

use bytes::Bytes;
use myelin_model::{Fence, Shard};
use myelin_store::schema::sync::RoomListCopy;
use myelin_store::{Batch, CommitError, Durability, Engine};
use myelin_sync_core::rooms::{RoomEntry, RoomKey, RoomList};
use ruma::UserId;

/// The layout of what is stored. Another one is not read: the list is made anew.
const LAYOUT: u8 = 1;
/// Lists with fewer rooms are made anew as fast as they are read.
pub(crate) const FEWEST: usize = 100;
/// Lists with more rooms, at about twenty bytes each, are not stored.
const MOST: usize = 200_000;

/// The list, and the position that it is as of; `None` where it can't be read.
pub(crate) fn decode(row: &RoomListCopy) -> Option<(RoomList, i64)> {
    let (layout, rest) = row.rooms.split_first()?;
    if *layout != LAYOUT {
        return None;
    }
    Some((postcard::from_bytes::<RoomList>(rest).ok()?, row.position))
}

/// Whether a list of so many rooms is worth storing.
pub(crate) fn is_worth_storing(rooms: usize) -> bool {
    (FEWEST..=MOST).contains(&rooms)
}

/// Stores a list.
pub(crate) async fn store(
    engine: &dyn Engine,
    user_id: &UserId,
    list: &RoomList,
    position: i64,
) -> Result<(), CommitError> {
    let rooms: Vec<(RoomKey, &RoomEntry)> = list.all().collect();
    let Ok(rooms) = postcard::to_extend(&rooms, vec![LAYOUT]) else { return Ok(()) };
    let shard = Shard::of(user_id.as_str());
    let mut batch = Batch::new(Fence { shard, epoch: engine.epoch(shard) });
    batch.durability = Durability::MayLag;
    batch.put(&RoomListCopy { user_id: user_id.to_owned(), position, rooms: Bytes::from(rooms) });
    engine.commit(batch).await.map(drop)
}
