//! Which rooms a query looks into.

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Member, Room, RoomById, RoomSummary};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedRoomId, UserId};
use std::collections::HashMap;

use crate::predecessors::with_predecessors;
use crate::request::SearchRequest;
use crate::token::Scope;

/// The most rooms that one query looks into: the newest of the asker's.
const MOST_ROOMS: usize = 2_000;

/// The rooms the asker is in or was in and has not forgotten, as far as the request wants them. What they may see there is
/// decided for each event. Rooms that are end-to-end encrypted are left out, as the specification says: what is not
/// encrypted in them nobody vouches for.
pub(crate) async fn rooms(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    request: &SearchRequest,
) -> Result<HashMap<RoomNid, OwnedRoomId>, ReadError> {
    let scan = Scan::index::<Member>(Member::BY_USER, (user_id.to_owned(),), MOST_ROOMS).backward();
    let members = match wanted(snapshot, request).await? {
        None => snapshot.scan::<Member>(scan).await?,
        Some(wanted) => {
            let keys: Vec<_> = wanted.into_iter().map(|room| (room, user_id.to_owned())).collect();
            snapshot.get_all::<Member>(&keys).await?.into_iter().flatten().collect()
        }
    };
    let known = members.into_iter().filter(|member| member.joined_at.is_some() && !member.forgotten);
    let keys: Vec<_> = known.map(|member| (member.room,)).collect();
    let summaries = snapshot.get_all::<RoomSummary>(&keys).await?;
    let encrypted = |summary: &Option<RoomSummary>| summary.as_ref().is_some_and(|s| s.encryption.is_some());
    let open: Vec<_> =
        keys.iter().zip(&summaries).filter(|(_, summary)| !encrypted(summary)).map(|(key, _)| *key).collect();
    let rooms = snapshot.get_all::<Room>(&open).await?.into_iter().flatten();
    Ok(rooms
        .filter(|room| !request.not_rooms.contains(&room.room_id))
        .map(|room| (room.room, room.room_id))
        .collect())
}

/// The rooms that the request names; `None` where it wants all.
async fn wanted(snapshot: &dyn Snapshot, request: &SearchRequest) -> Result<Option<Vec<RoomNid>>, ReadError> {
    let scope = request.from.as_ref().map(|token| &token.scope);
    let (keys, of_group) = match (scope, &request.rooms) {
        (Some(Scope::Room(room_id)), _) => (vec![(room_id.clone(),)], true),
        (_, Some(rooms)) => {
            (rooms.iter().take(MOST_ROOMS).map(|room_id| (room_id.clone(),)).collect(), false)
        }
        (_, None) => return Ok(None),
    };
    let rows = snapshot.get_all::<RoomById>(&keys).await?;
    let mut rooms: Vec<RoomNid> = rows.into_iter().flatten().map(|row| row.room).collect();
    rooms.sort_unstable();
    rooms.dedup();
    // The room of a group is itself and no other.
    if of_group { Ok(Some(rooms)) } else { Ok(Some(with_predecessors(snapshot, rooms).await?)) }
}
