//! Tags of rooms (client-server API, "Room Tagging"). They are one piece of account data, `m.tag`, changed tag by tag.

use std::collections::BTreeMap;

use bytes::Bytes;
use myelin_model::{Requester, RoomNid, Topic};
use myelin_store::schema::users::AccountData;
use myelin_store::{Batch, Planned, Reader, Snapshot};
use ruma::{OwnedUserId, RoomId, UserId};
use serde_json::value::RawValue;

use crate::account_data::{check_content, room_for};
use crate::{AccountDataError, Users, is_own};

/// The longest tag, in bytes.
pub const MAX_TAG: usize = 255;

pub(crate) const TAG: &str = "m.tag";
const NOTICES: &str = "m.server_notice";

/// The tags of a room with what is said of each, as it was set.
pub type Tags = BTreeMap<String, Box<RawValue>>;

/// A change of tags; says whether there was anything to change.
type Change<'a> = &'a (dyn Fn(&mut Tags) -> bool + Sync);

impl Users {
    /// The user's tags of a room.
    ///
    /// # Errors
    /// See [`AccountDataError`].
    pub async fn tags(
        &self,
        requester: &Requester,
        user_id: &UserId,
        room_id: &RoomId,
    ) -> Result<Tags, AccountDataError> {
        let content = self.account_data(requester, user_id, Some(room_id), TAG).await?;
        Ok(content.map(|content| tags_of(&object(&content))).unwrap_or_default())
    }

    /// Adds a tag, or replaces what is said of it: a JSON object, such as `{"order": 0.5}`.
    ///
    /// # Errors
    /// See [`AccountDataError`].
    pub async fn set_tag(
        &self,
        requester: &Requester,
        user_id: &UserId,
        room_id: &RoomId,
        tag: &str,
        info: &RawValue,
    ) -> Result<(), AccountDataError> {
        check_content(info.get().as_bytes())?;
        let set = |tags: &mut Tags| {
            tags.insert(tag.to_owned(), info.to_owned());
            true
        };
        self.change_tags(requester, user_id, room_id, tag, &set).await
    }

    /// Removes a tag; nothing happens where the room does not have it.
    ///
    /// # Errors
    /// See [`AccountDataError`].
    pub async fn delete_tag(
        &self,
        requester: &Requester,
        user_id: &UserId,
        room_id: &RoomId,
        tag: &str,
    ) -> Result<(), AccountDataError> {
        self.change_tags(requester, user_id, room_id, tag, &|tags| tags.remove(tag).is_some()).await
    }

    /// Marks the room as the one of the server's notices to the user (`m.server_notice`), by which clients know it.
    ///
    /// # Errors
    /// See [`AccountDataError`].
    pub async fn tag_notices(&self, user_id: &UserId, room_id: &RoomId) -> Result<(), AccountDataError> {
        let own = Requester::server_for(user_id);
        if self.tags(&own, user_id, room_id).await?.contains_key(NOTICES) {
            return Ok(());
        }
        self.set_tag(&own, user_id, room_id, NOTICES, &raw(&Tags::new())).await
    }

    async fn change_tags(
        &self,
        requester: &Requester,
        user_id: &UserId,
        room_id: &RoomId,
        tag: &str,
        change: Change<'_>,
    ) -> Result<(), AccountDataError> {
        if !is_own(requester, user_id) {
            return Err(AccountDataError::NotYours);
        }
        if tag.is_empty() || tag.len() > MAX_TAG {
            return Err(AccountDataError::BadName);
        }
        let _turn = self.turns.of(myelin_model::Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let room = room_for(&*snapshot, room_id, user_id).await?;
            let mut batch = self.batch(user_id);
            plan(&*snapshot, &mut batch, user_id.to_owned(), room, change).await?;
            drop(snapshot);
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(());
            }
        }
    }
}

/// Writes the changed tags into the batch, which expects those they were changed from.
async fn plan(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    user_id: OwnedUserId,
    room: RoomNid,
    change: Change<'_>,
) -> Result<(), AccountDataError> {
    let key = (user_id, room, TAG.to_owned());
    let row = snapshot.get::<AccountData>(&key).await?;
    let mut content = row.as_ref().map(|row| object(&row.content)).unwrap_or_default();
    let mut tags = tags_of(&content);
    if !change(&mut tags) {
        return Ok(());
    }
    match row {
        Some(row) => batch.expect_column::<AccountData>(&key, "changed", &row.changed),
        None => batch.expect_absent::<AccountData>(&key),
    }
    content.insert("tags".to_owned(), raw(&tags));
    let content = Bytes::from(raw(&content).get().to_owned());
    check_content(&content)?;
    let changed = batch.next_pos();
    batch.wake(Topic::user(key.0.as_str()));
    let (user_id, room, kind) = key;
    batch.put(&AccountData { user_id, room, kind, content, changed });
    Ok(())
}

/// The members of the content. A client may have set whatever it liked: what is no object counts as empty.
pub(crate) fn object(content: &[u8]) -> Tags {
    serde_json::from_slice(content).unwrap_or_default()
}

pub(crate) fn tags_of(content: &Tags) -> Tags {
    content.get("tags").map(|tags| object(tags.get().as_bytes())).unwrap_or_default()
}

pub(crate) fn raw(object: &Tags) -> Box<RawValue> {
    serde_json::value::to_raw_value(object).expect("a map of strings and raw JSON can be written")
}

#[cfg(test)]
mod tests;
