//! What users need to know of rooms, which are `rooms`' to write.

use myelin_model::RoomNid;
use myelin_store::schema::rooms::{Member, Membership, RoomById};
use myelin_store::{ReadError, Reader, Snapshot};
use ruma::{RoomId, UserId};

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
