//! A user's rooms as they are stored: written behind for users with many rooms, so that after a restart a list does not
//! have to be made from all of them.
//!
//! What is stored is a copy of what the log says up to its position. An old copy costs the reading of what changed since.

use myelin_model::{Fence, Shard};
use myelin_store::schema::sync::RoomListCopy;
use myelin_store::{Batch, CommitError, Durability, Engine};
use myelin_sync_core::rooms::RoomList;
use ruma::UserId;

/// Lists with fewer rooms are made anew as fast as they are read.
pub(crate) const FEWEST: usize = 100;
/// Lists with more rooms, at about sixty bytes each, are not stored.
const MOST: usize = 200_000;

/// The list, and the position that it is as of; `None` where it can't be read: then it is made anew.
pub(crate) fn decode(row: RoomListCopy) -> Option<(RoomList, i64)> {
    Some((RoomList::from_bytes(row.rooms)?, row.position))
}

/// Whether a list of so many rooms is worth storing.
pub(crate) fn is_worth_storing(rooms: usize) -> bool {
    (FEWEST..=MOST).contains(&rooms)
}

/// Stores a list.
pub(crate) async fn store(
    engine: &dyn Engine,
    user_id: &UserId,
    list: &mut RoomList,
    position: i64,
) -> Result<(), CommitError> {
    let shard = Shard::of(user_id.as_str());
    let mut batch = Batch::new(Fence { shard, epoch: engine.epoch(shard) });
    batch.durability = Durability::MayLag;
    batch.put(&RoomListCopy { user_id: user_id.to_owned(), position, rooms: list.pack() });
    engine.commit(batch).await.map(drop)
}
