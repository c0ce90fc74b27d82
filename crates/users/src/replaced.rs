//! What a user keeps of a room goes along to the room that replaces it, as Synapse does it: tags, the mark of a direct
//! chat (`m.direct`), push rules about the room.
//!
//! The join writes, in its own commit, that there is something to copy; the copy and the end of that row are one commit. So
//! a crash between them costs nothing: the next round of the worker finds the row.
//!
//! A room says by itself which one it replaces, so that alone is believed of the user's own room only; else the old room must
//! name the new one in its `m.room.tombstone`. What a user has set for the new room already stays.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use myelin_model::{RoomNid, Shard, Topic};
use myelin_store::schema::rooms::{Room, RoomById, RoomSummary};
use myelin_store::schema::users::{AccountData, GLOBAL, Replacement};
use myelin_store::{Batch, CommitError, Planned, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::value::RawValue;

use crate::Users;
use crate::account_data::MAX_ACCOUNT_DATA;
use crate::tags::{TAG, Tags, object, raw, tags_of};

const DIRECT: &str = "m.direct";
/// How often the rows are looked at that a crash or a failure has left; there are none almost always.
const PAUSE: Duration = Duration::from_secs(30);
/// How many rows one look takes, of all users and of one.
const AT_ONCE: usize = 256;

/// The push rules could not be copied now; it is tried again.
pub type CopyError = Box<dyn Error + Send + Sync>;

/// Copies push rules that are about a room. `notify` is behind it.
pub trait CopyRules: Send + Sync + 'static {
    /// Gives the user the same rules for the new room that they have for the old one, but for those they have already.
    fn copy<'a>(
        &'a self,
        user_id: &'a UserId,
        old: &'a RoomId,
        new: &'a RoomId,
    ) -> BoxFuture<'a, Result<(), CopyError>>;
}

/// Why a room's things were not copied.
#[derive(Debug, thiserror::Error)]
enum ReplacedError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("the push rules could not be copied: {0}")]
    Rules(CopyError),
}

impl Users {
    /// Notes, in the commit of a user's first join of a room, that the room says it replaces another one.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn note_replacement(
        &self,
        snapshot: &dyn Snapshot,
        batch: &mut Batch,
        user_id: &UserId,
        room: RoomNid,
        old: &RoomId,
    ) -> Result<(), ReadError> {
        if !self.is_local(user_id) {
            return Ok(());
        }
        if let Some(old) = snapshot.get::<RoomById>(&(old.to_owned(),)).await? {
            batch.put(&Replacement { user_id: user_id.to_owned(), room, old: old.room });
        }
        Ok(())
    }

    /// Copies what waits to be copied for a user. What fails is tried again later.
    pub async fn follow_replacements(&self, user_id: &UserId) {
        if self.is_local(user_id) {
            self.follow_all(Scan::prefix::<Replacement>((user_id.to_owned(),), AT_ONCE)).await;
        }
    }

    /// Copies what a crash or a failure has left, until the server stops.
    pub(crate) async fn follow_left_over(&self) {
        let stopping = self.env.tasks.stopping();
        tokio::pin!(stopping);
        loop {
            self.follow_all(Scan::prefix::<Replacement>((), AT_ONCE)).await;
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = &mut stopping => return,
            }
        }
    }

    async fn follow_all(&self, scan: Scan) {
        let found = async { self.engine.snapshot().await?.scan::<Replacement>(scan).await };
        let rows = match found.await {
            Ok(rows) => rows,
            Err(error) => return tracing::warn!(%error, "replaced rooms could not be looked up"),
        };
        for row in rows {
            if let Err(error) = self.follow(&row).await {
                let user_id = &row.user_id;
                tracing::warn!(%error, %user_id, "tags and push rules did not go along to a new room yet");
            }
        }
    }

    async fn follow(&self, row: &Replacement) -> Result<(), ReplacedError> {
        let _turn = self.turns.of(Shard::of(row.user_id.as_str())).await;
        let names = names(&*self.engine.snapshot().await?, row).await?;
        if let Some((old, new)) = &names {
            self.copy_rules.copy(&row.user_id, old, new).await.map_err(ReplacedError::Rules)?;
        }
        let mut attempt = 0;
        loop {
            let mut batch = self.batch(&row.user_id);
            if let Some((old, new)) = &names {
                let snapshot = self.engine.snapshot().await?;
                plan_tags(&*snapshot, &mut batch, row).await?;
                plan_direct(&*snapshot, &mut batch, &row.user_id, old, new).await?;
            }
            batch.delete::<Replacement>(&(row.user_id.clone(), row.room));
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(());
            }
        }
    }
}

/// The ids of the old room and of the new one, if the new one does replace it.
async fn names(
    snapshot: &dyn Snapshot,
    row: &Replacement,
) -> Result<Option<(OwnedRoomId, OwnedRoomId)>, ReadError> {
    let mut rooms = snapshot.get_all::<Room>(&[(row.old,), (row.room,)]).await?.into_iter().flatten();
    let (Some(old), Some(new)) = (rooms.next(), rooms.next()) else { return Ok(None) };
    let summary = snapshot.get::<RoomSummary>(&(row.old,)).await?;
    let named = summary.and_then(|summary| summary.replacement);
    let is_so = named.as_deref() == Some(new.room_id.as_str()) || new.creator == row.user_id;
    Ok(is_so.then_some((old.room_id, new.room_id)))
}

/// Adds the old room's tags to the new one's.
async fn plan_tags(snapshot: &dyn Snapshot, batch: &mut Batch, row: &Replacement) -> Result<(), ReadError> {
    let key = |room| (row.user_id.clone(), room, TAG.to_owned());
    let mut stored = snapshot.get_all::<AccountData>(&[key(row.old), key(row.room)]).await?.into_iter();
    let (old, new) = (stored.next().flatten(), stored.next().flatten());
    let old = old.map(|row| tags_of(&object(&row.content))).unwrap_or_default();
    let mut content = new.as_ref().map(|row| object(&row.content)).unwrap_or_default();
    let mut tags = tags_of(&content);
    let before = tags.len();
    for (tag, info) in old {
        tags.entry(tag).or_insert(info);
    }
    if tags.len() > before {
        content.insert("tags".to_owned(), raw(&tags));
        put(batch, key(row.room), new.as_ref(), &content);
    }
    Ok(())
}

/// Names the new room beside the old one in `m.direct`.
async fn plan_direct(
    snapshot: &dyn Snapshot,
    batch: &mut Batch,
    user_id: &OwnedUserId,
    old: &RoomId,
    new: &RoomId,
) -> Result<(), ReadError> {
    let key = (user_id.clone(), GLOBAL, DIRECT.to_owned());
    let Some(row) = snapshot.get::<AccountData>(&key).await? else { return Ok(()) };
    if let Some(content) = with_direct(&object(&row.content), old, new) {
        put(batch, key, Some(&row), &content);
    }
    Ok(())
}

/// The content of `m.direct` with the new room wherever the old one is; `None` where that changes nothing.
fn with_direct(content: &Tags, old: &RoomId, new: &RoomId) -> Option<Tags> {
    let mut changed = false;
    let each = content.iter().map(|(user, listed)| {
        let rooms: Result<Vec<String>, _> = serde_json::from_str(listed.get());
        let listed = match rooms {
            Ok(mut rooms) if rooms.iter().any(|room| room == old) && rooms.iter().all(|room| room != new) => {
                changed = true;
                rooms.push(new.to_string());
                serde_json::value::to_raw_value(&rooms).unwrap_or_else(|_| listed.clone())
            }
            _ => listed.clone(),
        };
        (user.clone(), listed)
    });
    let content: BTreeMap<String, Box<RawValue>> = each.collect();
    changed.then_some(content)
}

/// Writes account data into the batch, which expects those they were made from. What has grown too large stays as it is.
fn put(batch: &mut Batch, key: (OwnedUserId, RoomNid, String), before: Option<&AccountData>, content: &Tags) {
    let content = Bytes::from(raw(content).get().to_owned());
    if content.len() > MAX_ACCOUNT_DATA {
        return;
    }
    match before {
        Some(row) => batch.expect_column::<AccountData>(&key, "changed", &row.changed),
        None => batch.expect_absent::<AccountData>(&key),
    }
    let changed = batch.next_pos();
    batch.wake(Topic::user(key.0.as_str()));
    let (user_id, room, kind) = key;
    batch.put(&AccountData { user_id, room, kind, content, changed });
}

#[cfg(test)]
mod tests;
