//! Account data, global and of rooms (client-server API, "Client Config"): JSON objects that clients keep for themselves.

use bytes::Bytes;
use myelin_model::{Requester, RoomNid, Topic};
use myelin_store::schema::notify::{PUSH_RULES, push_rules_content};
use myelin_store::schema::rooms::Room;
use myelin_store::schema::users::{AccountData, GLOBAL};
use myelin_store::{Batch, CommitError, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedRoomId, RoomId, UserId};

use crate::{Users, is_own, member};

/// The largest content, in bytes.
pub const MAX_ACCOUNT_DATA: usize = 512 * 1_024;

/// The longest type, in bytes.
pub const MAX_TYPE: usize = 255;

/// The content of what was deleted.
const DELETED: &[u8] = b"{}";

/// The type of the fully-read marker.
pub(crate) const FULLY_READ: &str = "m.fully_read";

/// Why account data or tags were not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountDataError {
    /// They are somebody else's.
    #[error("account data can be read and changed by its own user only")]
    NotYours,
    /// There is no such room for this user; whether it exists is not told.
    #[error("you are not in this room")]
    NotInRoom,
    /// The server itself keeps this type.
    #[error("{0} is kept by the server and can't be set through this API")]
    Managed(String),
    /// The content is no JSON object.
    #[error("the content must be a JSON object")]
    NotAnObject,
    /// The type or the tag is too long.
    #[error("the name is empty or longer than {MAX_TYPE} bytes")]
    BadName,
    /// The content is larger than [`MAX_ACCOUNT_DATA`].
    #[error("the content is larger than {MAX_ACCOUNT_DATA} bytes")]
    TooLarge,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Users {
    /// The content of the user's account data of a type, as it was set; global where no room is named.
    ///
    /// # Errors
    /// See [`AccountDataError`].
    pub async fn account_data(
        &self,
        requester: &Requester,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        kind: &str,
    ) -> Result<Option<Bytes>, AccountDataError> {
        if !is_own(requester, user_id) {
            return Err(AccountDataError::NotYours);
        }
        let snapshot = self.engine.snapshot().await?;
        let room = match room_id {
            None if kind == PUSH_RULES => return Ok(Some(push_rules_content(&*snapshot, user_id).await?)),
            None => GLOBAL,
            Some(room_id) => match member::known_room(&*snapshot, room_id, user_id).await? {
                Some(room) => room,
                None => return Ok(None),
            },
        };
        let row = snapshot.get::<AccountData>(&(user_id.to_owned(), room, kind.to_owned())).await?;
        Ok(row.map(|row| row.content).filter(|content| &**content != DELETED))
    }

    /// Deletes the user's account data of a type (MSC3391); global where no room is named. Clients learn of it in their
    /// next sync, as an empty content.
    ///
    /// # Errors
    /// See [`AccountDataError`].
    pub async fn delete_account_data(
        &self,
        requester: &Requester,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        kind: &str,
    ) -> Result<(), AccountDataError> {
        self.set_account_data(requester, user_id, room_id, kind, Bytes::from_static(DELETED)).await
    }

    /// Sets the user's account data of a type; global where no room is named. The last one to write wins. An empty
    /// object deletes them (MSC3391).
    ///
    /// # Errors
    /// See [`AccountDataError`].
    pub async fn set_account_data(
        &self,
        requester: &Requester,
        user_id: &UserId,
        room_id: Option<&RoomId>,
        kind: &str,
        content: Bytes,
    ) -> Result<(), AccountDataError> {
        if !is_own(requester, user_id) {
            return Err(AccountDataError::NotYours);
        }
        if matches!(kind, FULLY_READ | PUSH_RULES) {
            return Err(AccountDataError::Managed(kind.to_owned()));
        }
        check(kind, &content)?;
        let content = if is_empty(&content) { Bytes::from_static(DELETED) } else { content };
        let room = match room_id {
            None => GLOBAL,
            Some(room_id) => room_for(&*self.engine.snapshot().await?, room_id, user_id).await?,
        };
        let mut batch = self.batch(user_id);
        let changed = batch.next_pos();
        let (user_id, kind) = (user_id.to_owned(), kind.to_owned());
        batch.wake(Topic::user(user_id.as_str()));
        batch.put(&AccountData { user_id, room, kind, content, changed });
        self.engine.commit(batch).await?;
        Ok(())
    }
}

/// Account data, as they are handed out together.
#[derive(Clone, Debug)]
pub struct KeptData {
    /// The room that they are of.
    pub room_id: Option<OwnedRoomId>,
    /// Their type.
    pub kind: String,
    /// Their content, as it was set.
    pub content: Bytes,
}

impl Users {
    /// All account data of a user after a place, at most `limit`; those that were deleted are left out, and an answer may be
    /// shorter for it. With the place of the last one, where there may be more.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn all_account_data(
        &self,
        user_id: &UserId,
        after: Option<(RoomNid, String)>,
        limit: usize,
    ) -> Result<(Vec<KeptData>, Option<(RoomNid, String)>), ReadError> {
        let scan = Scan::prefix::<AccountData>((user_id.to_owned(),), limit);
        let scan = match after {
            Some(place) => scan.after(place),
            None => scan,
        };
        let snapshot = self.engine.snapshot().await?;
        let rows = snapshot.scan::<AccountData>(scan).await?;
        let next = rows.last().filter(|_| rows.len() == limit).map(|row| (row.room, row.kind.clone()));
        let rooms: Vec<_> = rows.iter().map(|row| (row.room,)).collect();
        let rooms = snapshot.get_all::<Room>(&rooms).await?;
        let kept = rows.into_iter().zip(rooms).filter(|(row, _)| &*row.content != DELETED);
        let kept = kept.map(|(row, room)| KeptData {
            room_id: room.map(|room| room.room_id),
            content: row.content,
            kind: row.kind,
        });
        Ok((kept.collect(), next))
    }
}

/// The types of a device's own settings, before its id (MSC3890).
const OF_DEVICES: [&str; 2] =
    ["m.local_notification_settings.", "org.matrix.msc3890.local_notification_settings."];

impl Users {
    /// Deletes what account data say of devices that are being deleted, in the commit that does so.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn devices_deleted(
        &self,
        snapshot: &dyn Snapshot,
        batch: &mut Batch,
        user_id: &UserId,
        device_ids: &[OwnedDeviceId],
    ) -> Result<(), ReadError> {
        let kinds = device_ids.iter().flat_map(|id| OF_DEVICES.map(|prefix| format!("{prefix}{id}")));
        let keys: Vec<_> = kinds.map(|kind| (user_id.to_owned(), GLOBAL, kind)).collect();
        let found = snapshot.get_all::<AccountData>(&keys).await?.into_iter().flatten();
        for row in found.filter(|row| &*row.content != DELETED) {
            let changed = batch.next_pos();
            batch.put(&AccountData { content: Bytes::from_static(DELETED), changed, ..row });
        }
        Ok(())
    }
}

/// Whether the content, which is an object, has nothing in it.
fn is_empty(content: &[u8]) -> bool {
    let inside = content.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// The room that account data are about. A room that the user was never anything to is none, so that nobody fills the
/// store or learns of rooms by guessing.
pub(crate) async fn room_for(
    snapshot: &dyn Snapshot,
    room_id: &RoomId,
    user_id: &UserId,
) -> Result<RoomNid, AccountDataError> {
    member::known_room(snapshot, room_id, user_id).await?.ok_or(AccountDataError::NotInRoom)
}

fn check(kind: &str, content: &[u8]) -> Result<(), AccountDataError> {
    if kind.is_empty() || kind.len() > MAX_TYPE {
        return Err(AccountDataError::BadName);
    }
    check_content(content)
}

/// Whether the content is an object and not too large.
pub(crate) fn check_content(content: &[u8]) -> Result<(), AccountDataError> {
    if content.len() > MAX_ACCOUNT_DATA {
        return Err(AccountDataError::TooLarge);
    }
    let is_object =
        content.first() == Some(&b'{') && serde_json::from_slice::<serde::de::IgnoredAny>(content).is_ok();
    if is_object { Ok(()) } else { Err(AccountDataError::NotAnObject) }
}

#[cfg(test)]
mod tests;
