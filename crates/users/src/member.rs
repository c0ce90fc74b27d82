//! What users need to know of rooms, which are `rooms`' to write.

use std::collections::HashSet;

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Member, Membership, RoomById};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{RoomId, UserId};

/// No user is in more rooms than this.
const MOST_ROOMS: usize = 1_000_000;

/// The rooms that both users are in, in the order of their numbers.
pub(crate) async fn shared_rooms(
    snapshot: &dyn Snapshot,
    one: &UserId,
    other: &UserId,
) -> Result<Vec<RoomNid>, ReadError> {
    let rooms = |user: &UserId| Scan::index::<Member>(Member::BY_USER, (user.to_owned(),), MOST_ROOMS);
    let mut found = snapshot.scan_all::<Member>(vec![rooms(one), rooms(other)]).await?.into_iter();
    let joined = |rows: Option<Vec<Member>>| {
        let rows = rows.unwrap_or_default().into_iter();
        rows.filter(|row| row.membership == Membership::Join).map(|row| row.room)
    };
    let mine: HashSet<RoomNid> = joined(found.next()).collect();
    Ok(joined(found.next()).filter(|room| mine.contains(room)).collect())
}

/// The room, if the user is or ever was anything to it (joined, invited, gone).
pub(crate) async fn known_room(
    snapshot: &dyn Snapshot,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<Option<RoomNid>, ReadError> {
    Ok(member(snapshot, room_id, user_id).await?.map(|member| member.room))
}

/// The room, if the user is in it.
pub(crate) async fn joined_room(
    snapshot: &dyn Snapshot,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<Option<RoomNid>, ReadError> {
    let member = member(snapshot, room_id, user_id).await?;
    Ok(member.filter(|member| member.membership == Membership::Join).map(|member| member.room))
}

async fn member(
    snapshot: &dyn Snapshot,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<Option<Member>, ReadError> {
    let Some(row) = snapshot.get::<RoomById>(&(room_id.to_owned(),)).await? else { return Ok(None) };
    snapshot.get::<Member>(&(row.room, user_id.to_owned())).await
}
