//! What a suspended user may do after all where that depends on the request
//! (<https://spec.matrix.org/v1.19/client-server-api/#account-suspension>).

use myelin_model::Requester;
use myelin_rooms::{ReadingError, Rooms};
use myelin_timeline::Viewer;
use ruma::{EventId, RoomId};

use crate::Error;

/// They may redact their own events.
pub(super) async fn may_redact(
    rooms: &Rooms,
    requester: &Requester,
    room_id: &RoomId,
    target: &EventId,
) -> Result<(), Error> {
    if !requester.is_suspended {
        return Ok(());
    }
    // The time matters for what is bundled with an event only.
    let viewer = Viewer { user_id: requester.user_id.clone(), session: Some(requester.session), now: 0 };
    match rooms.sender_of(&viewer, room_id, target).await {
        Ok(sender) if sender == requester.user_id => Ok(()),
        Err(ReadingError::Read(error)) => Err(error.into()),
        _ => Err(Error::user_suspended()),
    }
}

/// They may enter the room in which the server's administrators speak to them.
pub(super) async fn may_join(rooms: &Rooms, requester: &Requester, room_id: &RoomId) -> Result<(), Error> {
    let may = !requester.is_suspended || rooms.is_notice_room(&requester.user_id, room_id).await?;
    if may { Ok(()) } else { Err(Error::user_suspended()) }
}
