//! Reads of `e2ee`'s keyspaces for those who answer a sync.

use std::collections::{BTreeMap, BTreeSet};

use myelin_model::Pos;
use ruma::{DeviceId, OwnedUserId, UserId};

use super::{DeviceListChange, FallbackKey, OneTimeKeyCount, ToDevice, UserSignatureChange};
use crate::{ReadError, Reader, Scan, Snapshot};

/// The algorithm whose count clients expect even when it is zero.
pub const SIGNED_CURVE25519: &str = "signed_curve25519";

/// The most algorithms of which a device may have one-time or fallback keys.
pub const MAX_ALGORITHMS: usize = 16;

/// How many unclaimed one-time keys the device has, for each algorithm it ever uploaded and always for
/// [`SIGNED_CURVE25519`] (`device_one_time_keys_count` of a sync response).
///
/// # Errors
/// When the store can't be read.
pub async fn one_time_key_counts(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    device_id: &DeviceId,
) -> Result<BTreeMap<String, i64>, ReadError> {
    let scan = Scan::prefix::<OneTimeKeyCount>((user_id.to_owned(), device_id.to_owned()), MAX_ALGORITHMS);
    let mut counts = BTreeMap::from([(SIGNED_CURVE25519.to_owned(), 0)]);
    for row in snapshot.scan::<OneTimeKeyCount>(scan).await? {
        counts.insert(row.algorithm, row.unclaimed);
    }
    Ok(counts)
}

/// The algorithms for which the device has a fallback key that was not handed out yet
/// (`device_unused_fallback_key_types` of a sync response).
///
/// # Errors
/// When the store can't be read.
pub async fn unused_fallback_key_types(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    device_id: &DeviceId,
) -> Result<Vec<String>, ReadError> {
    let scan = Scan::prefix::<FallbackKey>((user_id.to_owned(), device_id.to_owned()), MAX_ALGORITHMS);
    let rows = snapshot.scan::<FallbackKey>(scan).await?;
    Ok(rows.into_iter().filter(|row| !row.used).map(|row| row.algorithm).collect())
}

/// The messages of a device's inbox after a position, oldest first, at most `limit`. What the client acknowledged by
/// coming back with a token is deleted by `e2ee`, not here.
///
/// # Errors
/// When the store can't be read.
pub async fn to_device(
    snapshot: &dyn Snapshot,
    user_id: &UserId,
    device_id: &DeviceId,
    after: Pos,
    limit: usize,
) -> Result<Vec<ToDevice>, ReadError> {
    let inbox = (user_id.to_owned(), device_id.to_owned());
    snapshot.scan(Scan::prefix::<ToDevice>(inbox, limit).after((after,))).await
}

/// Which of `users` changed their devices or cross-signing keys after a position, in a way that others can see.
///
/// It costs the smaller of the two: the users asked for, or all changes of the server since.
///
/// # Errors
/// When the store can't be read.
pub async fn device_lists_changed(
    snapshot: &dyn Snapshot,
    users: &BTreeSet<OwnedUserId>,
    after: Pos,
) -> Result<Vec<OwnedUserId>, ReadError> {
    if users.is_empty() || after >= snapshot.position() {
        return Ok(Vec::new());
    }
    let since = device_list_changes(snapshot, after, users.len()).await?;
    if since.len() < users.len() {
        return Ok(since.into_iter().map(|row| row.user_id).filter(|user| users.contains(user)).collect());
    }
    let keys: Vec<_> = users.iter().map(|user| (user.clone(),)).collect();
    let rows = snapshot.get_all::<DeviceListChange>(&keys).await?;
    Ok(rows.into_iter().flatten().filter(|row| row.changed > after).map(|row| row.user_id).collect())
}

/// The users whose devices or cross-signing keys changed after a position, by their last change, oldest first, at
/// most `limit`. Ask again after the last one's position for more.
///
/// # Errors
/// When the store can't be read.
pub async fn device_list_changes(
    snapshot: &dyn Snapshot,
    after: Pos,
    limit: usize,
) -> Result<Vec<DeviceListChange>, ReadError> {
    let scan = Scan::index::<DeviceListChange>(DeviceListChange::BY_CHANGE, (), limit);
    snapshot.scan(scan.after((after,))).await
}

/// The users whose master keys `signer` signed after a position, at most `limit`: their keys look new to the signer's
/// own devices, and to nobody else's.
///
/// # Errors
/// When the store can't be read.
pub async fn signed_users(
    snapshot: &dyn Snapshot,
    signer: &UserId,
    after: Pos,
    limit: usize,
) -> Result<Vec<OwnedUserId>, ReadError> {
    let index = UserSignatureChange::BY_CHANGE;
    let scan = Scan::index::<UserSignatureChange>(index, (signer.to_owned(),), limit).after((after,));
    let rows = snapshot.scan::<UserSignatureChange>(scan).await?;
    Ok(rows.into_iter().map(|row| row.user_id).collect())
}
