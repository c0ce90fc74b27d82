//! The devices that users have, which are `auth`'s to make and to remove.

use std::collections::BTreeMap;

use myelin_store::schema::auth::Device;
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedUserId};

/// The most devices of one user that an answer or a message to all of them reaches.
pub(crate) const MAX_DEVICES: usize = 10_000;

/// Lets the batch fail if the device has gone in the meantime, so that nothing of it is left behind.
pub(crate) fn expect(batch: &mut Batch, user_id: &OwnedUserId, device_id: &OwnedDeviceId) {
    batch.expect_present::<Device>(&(user_id.clone(), device_id.clone()));
}

/// Whether the device exists.
pub(crate) async fn exists(
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
    device_id: &OwnedDeviceId,
) -> Result<bool, ReadError> {
    Ok(snapshot.get::<Device>(&(user_id.clone(), device_id.clone())).await?.is_some())
}

/// Those of the given devices that exist, with their display names.
pub(crate) async fn existing(
    snapshot: &dyn Snapshot,
    devices: &[(OwnedUserId, OwnedDeviceId)],
) -> Result<BTreeMap<(OwnedUserId, OwnedDeviceId), Option<String>>, ReadError> {
    let rows = snapshot.get_all::<Device>(devices).await?;
    Ok(rows.into_iter().flatten().map(|row| ((row.user_id, row.device_id), row.display_name)).collect())
}

/// Every device of each user.
pub(crate) async fn of_users(
    snapshot: &dyn Snapshot,
    users: &[OwnedUserId],
) -> Result<Vec<(OwnedUserId, OwnedDeviceId)>, ReadError> {
    let scans = users.iter().map(|user| Scan::prefix::<Device>((user.clone(),), MAX_DEVICES)).collect();
    let rows = snapshot.scan_all::<Device>(scans).await?;
    Ok(rows.into_iter().flatten().map(|row| (row.user_id, row.device_id)).collect())
}
