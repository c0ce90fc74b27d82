//! Device-list changes: how everyone who shares a room with a user learns that the user's devices or cross-signing
//! keys changed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use myelin_model::{Fence, Pos, Shard, Topic};
use myelin_store::schema::e2ee::{
    ClaimedKey, DeviceKeys, DeviceListChange, FallbackKey, KeySignature, OneTimeKey, OneTimeKeyCount,
    ToDevice, ToDeviceTransaction,
};
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::{Batch, CommitError, CommitNotice, Engine, ReadError, Reader, Scan, Snapshot};
use ruma::{DeviceId, OwnedUserId, UserId};
use tokio::sync::broadcast;

use crate::E2ee;

/// The most rooms whose members are woken at once by a change. Members of others learn of it with their next sync
/// response, whatever brings it.
const WOKEN_ROOMS: usize = 1_000;

/// Writes that the user's devices or cross-signing keys change with this batch, and wakes whom it concerns. Answers
/// with the change's position.
pub(crate) async fn touch(
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
) -> Result<Pos, ReadError> {
    let changed = batch.next_pos();
    batch.put(&DeviceListChange { user_id: user_id.clone(), changed });
    batch.wake(Topic::user(user_id.as_str()));
    wake_rooms(batch, snapshot, user_id).await?;
    Ok(changed)
}

async fn wake_rooms(
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
) -> Result<(), ReadError> {
    let rooms = Scan::index::<Member>(Member::BY_USER, (user_id.clone(),), WOKEN_ROOMS);
    for member in snapshot.scan::<Member>(rooms).await? {
        if member.membership == Membership::Join {
            batch.wake(Topic::Room(member.room));
        }
    }
    Ok(())
}

/// How long the removal of a device may take to be committed, after which nobody is woken for it.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(30);

impl E2ee {
    /// Adds to the batch that ends a device's session everything that goes with the device: its keys, its inbox, the
    /// signatures on it. It reads nothing, so a device that never had keys is news to others too.
    pub fn device_removed(&self, batch: &mut Batch, user_id: &UserId, device_id: &DeviceId) {
        delete_keys(batch, user_id, device_id);
        let device = (user_id.to_owned(), device_id.to_owned());
        let named = (user_id.to_owned(), device_id.to_string());
        batch.delete_range(Scan::prefix::<ToDevice>(device, usize::MAX));
        batch.delete_range(Scan::prefix::<ToDeviceTransaction>(named, usize::MAX));
        self.device_changed(batch, user_id);
    }

    /// Adds to the batch that renames a device the news of it, since others see the name.
    pub fn device_renamed(&self, batch: &mut Batch, user_id: &UserId, _device_id: &DeviceId) {
        self.device_changed(batch, user_id);
    }

    /// Writes a device-list change into a batch that somebody else commits. Who shares a room with the user is found
    /// out, and woken, when that has happened; should it be forgotten, they learn of it with their next answer.
    fn device_changed(&self, batch: &mut Batch, user_id: &UserId) {
        let changed = batch.next_pos();
        batch.put(&DeviceListChange { user_id: user_id.to_owned(), changed });
        batch.wake(Topic::user(user_id.as_str()));
        let mut announcing = self.announcing.lock().unwrap_or_else(PoisonError::into_inner);
        if announcing.insert(user_id.to_owned()) {
            let announcement = Announcement {
                engine: Arc::clone(&self.engine),
                announcing: Arc::clone(&self.announcing),
                notices: self.engine.notices(),
                after: *self.engine.positions().borrow(),
                user_id: user_id.to_owned(),
            };
            self.env.tasks.spawn("e2ee.announce", announcement.run());
        }
    }
}

/// A change that somebody else is about to commit and whose audience must be woken then.
struct Announcement {
    engine: Arc<dyn Engine>,
    announcing: Announcing,
    notices: broadcast::Receiver<Arc<CommitNotice>>,
    after: Pos,
    user_id: OwnedUserId,
}

/// The users for whom one is under way.
pub(crate) type Announcing = Arc<Mutex<HashSet<OwnedUserId>>>;

impl Announcement {
    async fn run(mut self) {
        let committed = tokio::time::timeout(ANNOUNCE_WITHIN, self.committed()).await;
        // A change from here on needs an announcement of its own.
        self.announcing.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.user_id);
        let done = match committed {
            Ok(Ok(())) => self.wake().await,
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(error = %error, "members of a user's rooms were not woken for a changed device list");
        }
    }

    /// Waits for the commit with the change.
    async fn committed(&mut self) -> Result<(), ReadError> {
        let topic = Topic::user(self.user_id.as_str());
        loop {
            match self.notices.recv().await {
                Ok(notice) if !notice.topics.contains(&topic) => continue,
                Err(broadcast::error::RecvError::Closed) => return Ok(()),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            }
            let snapshot = self.engine.snapshot().await?;
            let row = snapshot.get::<DeviceListChange>(&(self.user_id.clone(),)).await?;
            if row.is_some_and(|row| row.changed > self.after) {
                return Ok(());
            }
        }
    }

    async fn wake(&self) -> Result<(), AnnounceError> {
        let shard = Shard::of(self.user_id.as_str());
        let mut batch = Batch::new(Fence { shard, epoch: self.engine.epoch(shard) });
        wake_rooms(&mut batch, &*self.engine.snapshot().await?, &self.user_id).await?;
        if !batch.topics.is_empty() {
            self.engine.commit(batch).await?;
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum AnnounceError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Deletes every key of a device, and what was signed of them.
pub(crate) fn delete_keys(batch: &mut Batch, user_id: &UserId, device_id: &DeviceId) {
    let device = (user_id.to_owned(), device_id.to_owned());
    let named = (user_id.to_owned(), device_id.to_string());
    let all = usize::MAX;
    batch.delete::<DeviceKeys>(&device);
    batch.delete_range(Scan::prefix::<OneTimeKey>(device.clone(), all));
    batch.delete_range(Scan::prefix::<OneTimeKeyCount>(device.clone(), all));
    batch.delete_range(Scan::prefix::<ClaimedKey>(device.clone(), all));
    batch.delete_range(Scan::prefix::<FallbackKey>(device, all));
    batch.delete_range(Scan::prefix::<KeySignature>(named, all));
}

#[cfg(test)]
mod tests;
