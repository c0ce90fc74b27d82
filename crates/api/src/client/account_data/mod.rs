//! Account data, global and of rooms, and the tags among it.

mod error;
pub(crate) mod global;
pub(crate) mod room;
pub(crate) mod tag;
pub(crate) mod tags;

use ruma::OwnedRoomId;

use crate::Error;
use crate::object::named;

/// The room that a path names.
fn room_id(segment: &str) -> Result<OwnedRoomId, Error> {
    named(segment, "a room by a room id")
}

fn nothing_set(kind: &str) -> Error {
    Error::not_found(format!("There is no account data of type {kind}."))
}
