//! The rooms that two users share (client-server API, "Mutual Rooms").

use myelin_model::Requester;
use myelin_store::schema::rooms::Room;
use myelin_store::{ReadError, Reader};
use ruma::{OwnedRoomId, RoomId, UserId};

use crate::{Users, is_own, member};

/// How many rooms one answer has.
pub const MAX_MUTUAL_ROOMS: usize = 100;

/// Why shared rooms were not told.
#[derive(Debug, thiserror::Error)]
pub enum MutualRoomsError {
    /// Every room is shared with oneself.
    #[error("you share every room of yours with yourself")]
    Oneself,
    /// The room to go on from is none of the requester's.
    #[error("this is no token of this endpoint")]
    UnknownBatch,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Some of the rooms that two users share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MutualRooms {
    /// The rooms.
    pub joined: Vec<OwnedRoomId>,
    /// How many there are in all.
    pub count: usize,
    /// Where to go on, if there are more.
    pub next: Option<OwnedRoomId>,
}

impl Users {
    /// The rooms that both the requester and the user are in, after the given one (`None`: from the first).
    ///
    /// # Errors
    /// See [`MutualRoomsError`].
    pub async fn mutual_rooms(
        &self,
        requester: &Requester,
        user_id: &UserId,
        after: Option<&RoomId>,
    ) -> Result<MutualRooms, MutualRoomsError> {
        if is_own(requester, user_id) {
            return Err(MutualRoomsError::Oneself);
        }
        let snapshot = self.engine.snapshot().await?;
        let after = match after {
            None => None,
            Some(room_id) => {
                let known = member::known_room(&*snapshot, room_id, &requester.user_id).await?;
                Some(known.ok_or(MutualRoomsError::UnknownBatch)?)
            }
        };
        let mut shared = member::shared_rooms(&*snapshot, &requester.user_id, user_id).await?;
        let count = shared.len();
        shared.retain(|room| after.is_none_or(|after| *room > after));
        let more = shared.len() > MAX_MUTUAL_ROOMS;
        let keys: Vec<_> = shared.into_iter().take(MAX_MUTUAL_ROOMS).map(|room| (room,)).collect();
        let rooms = snapshot.get_all::<Room>(&keys).await?;
        let joined: Vec<OwnedRoomId> = rooms.into_iter().flatten().map(|room| room.room_id).collect();
        let next = joined.last().filter(|_| more).cloned();
        Ok(MutualRooms { joined, count, next })
    }
}
