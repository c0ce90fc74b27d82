//! Device-list changes: how everyone who shares a room with a user learns that the user's devices or cross-signing
//! keys changed.

use myelin_model::{Pos, Topic};
use myelin_store::schema::e2ee::{
    ClaimedKey, CrossSigningKey, DeviceKeys, DeviceListChange, FallbackKey, KeySignature, KeyUsage,
    OneTimeKey, OneTimeKeyCount, ToDevice, ToDeviceTransaction,
};
use myelin_store::schema::rooms::{Member, Membership};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use ruma::{DeviceId, OwnedUserId, UserId};

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
    let rooms = Scan::index::<Member>(Member::BY_USER, (user_id.clone(),), WOKEN_ROOMS);
    for member in snapshot.scan::<Member>(rooms).await? {
        if member.membership == Membership::Join {
            batch.wake(Topic::Room(member.room));
        }
    }
    Ok(changed)
}

impl E2ee {
    /// Adds to the batch that ends a device's session everything that goes with the device: its keys, its inbox, the
    /// signatures on it and by it. The batch then expects what was read here, so it may conflict and must be made
    /// anew in that case.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn device_removed(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<(), ReadError> {
        let snapshot = self.engine.snapshot().await?;
        let device = (user_id.to_owned(), device_id.to_owned());
        if snapshot.get::<DeviceKeys>(&device).await?.is_some() {
            touch(batch, &*snapshot, &device.0).await?;
            batch.delete::<DeviceKeys>(&device);
        } else {
            batch.expect_absent::<DeviceKeys>(&device);
        }
        let master = snapshot.get::<CrossSigningKey>(&(device.0.clone(), KeyUsage::Master)).await?;
        if let Some(master) = master {
            let signing_key = format!("ed25519:{device_id}");
            batch.delete::<KeySignature>(&(
                device.0.clone(),
                master.public_key,
                device.0.clone(),
                signing_key,
            ));
        }
        let all = usize::MAX;
        batch.delete_range(Scan::prefix::<OneTimeKey>(device.clone(), all));
        batch.delete_range(Scan::prefix::<OneTimeKeyCount>(device.clone(), all));
        batch.delete_range(Scan::prefix::<ClaimedKey>(device.clone(), all));
        batch.delete_range(Scan::prefix::<FallbackKey>(device.clone(), all));
        batch.delete_range(Scan::prefix::<ToDevice>(device.clone(), all));
        let named = (user_id.to_owned(), device_id.to_string());
        batch.delete_range(Scan::prefix::<KeySignature>(named.clone(), all));
        batch.delete_range(Scan::prefix::<ToDeviceTransaction>(named, all));
        Ok(())
    }

    /// Adds to the batch that renames a device the news of it, if the device has keys and its name is thereby shown
    /// to others.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn device_renamed(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        device_id: &DeviceId,
    ) -> Result<(), ReadError> {
        let snapshot = self.engine.snapshot().await?;
        let device = (user_id.to_owned(), device_id.to_owned());
        if snapshot.get::<DeviceKeys>(&device).await?.is_some() {
            touch(batch, &*snapshot, &device.0).await?;
        }
        Ok(())
    }
}
