//! `/keys/upload`: a device publishes its identity keys, one-time keys and fallback keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use myelin_model::{Requester, Shard, Topic};
use myelin_pdu::{CanonicalError, CanonicalObject, CanonicalValue};
use myelin_store::schema::e2ee::read::{MAX_ALGORITHMS, SIGNED_CURVE25519};
use myelin_store::schema::e2ee::{
    ClaimedKey, CrossSigningKey, DeviceKeys, FallbackKey, KeySignature, KeyUsage, OneTimeKey, OneTimeKeyCount,
};
use myelin_store::{Batch, CommitError, MAX_BATCH_BYTES, Planned, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::value::RawValue;

use crate::{E2ee, device_list, devices, json};

/// The most unclaimed one-time keys that a device may have. Clients keep 50 to 100 there.
pub const MAX_ONE_TIME_KEYS: i64 = 1_000;

/// The longest name of an algorithm or of a key, in bytes.
const MAX_NAME: usize = 255;

/// The longest key without its signatures, in bytes; a curve25519 key has 43.
const MAX_PUBLIC_KEY: usize = 1_024;

/// The longest one-time or fallback key with its signatures, in bytes.
const MAX_KEY_JSON: usize = 8_192;

/// What a device uploads. Keys of the maps are `algorithm:key_id`.
#[derive(Debug, Default)]
pub struct KeysUpload {
    /// The identity keys.
    pub device_keys: Option<Box<RawValue>>,
    /// One-time keys.
    pub one_time_keys: BTreeMap<String, Box<RawValue>>,
    /// Fallback keys, at most one for each algorithm.
    pub fallback_keys: BTreeMap<String, Box<RawValue>>,
}

/// Why keys were not taken. Nothing was.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The session has no device whose keys these could be.
    #[error("keys can only be uploaded by a session with a device")]
    NoDevice,
    /// The keys name another user or device.
    #[error("the device keys must name the user and device that upload them")]
    NotYours,
    /// The device is named as one of the user's cross-signing keys.
    #[error("the device's id is also the id of a cross-signing key")]
    IdInUse,
    /// A key has no form that could be served.
    #[error("{0}")]
    Malformed(&'static str),
    /// A key has no canonical JSON, which its signature is made over.
    #[error("a key has no canonical JSON: {0}")]
    NotCanonical(#[from] CanonicalError),
    /// Another one-time key was uploaded under the same id: the client has lost track of its keys (MSC4420).
    #[error("One time key {id} already exists. Old key: {old}; new key: {new}")]
    DuplicateOneTimeKey {
        /// `algorithm:key_id`.
        id: String,
        /// The key that is here.
        old: String,
        /// The key that was uploaded.
        new: String,
    },
    /// More keys than a device may have.
    #[error("the device has {MAX_ONE_TIME_KEYS} one-time keys, or more algorithms than {MAX_ALGORITHMS}")]
    TooMany,
    /// The keys are too large for one commit.
    #[error("the keys are too large")]
    TooLarge,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The device that uploads.
struct Owner {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
}

/// A one-time or fallback key, read.
struct Key {
    algorithm: String,
    key_id: String,
    json: Bytes,
    /// The key without its signatures: what tells it from another.
    public_key: String,
}

/// An upload, read.
struct Checked {
    device_keys: Option<CanonicalObject>,
    one_time_keys: Vec<Key>,
    fallback_keys: Vec<Key>,
}

impl E2ee {
    /// Publishes keys of the requester's device, all or none, and answers with how many unclaimed one-time keys the
    /// device has by algorithm. Repeating an upload changes nothing.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn upload_keys(
        &self,
        requester: &Requester,
        upload: &KeysUpload,
    ) -> Result<BTreeMap<String, i64>, UploadError> {
        let device_id = requester.device_id.clone().ok_or(UploadError::NoDevice)?;
        let owner = Owner { user_id: requester.user_id.clone(), device_id };
        let checked = check(&owner, upload)?;
        let _turn = self.turns.of(Shard::of(owner.user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            if !devices::exists(&*snapshot, &owner.user_id, &owner.device_id).await? {
                return Err(UploadError::NoDevice);
            }
            let mut batch = self.batch(&owner.user_id);
            if replaces_identity(&*snapshot, &owner, checked.device_keys.as_ref()).await? {
                drop(snapshot);
                // Its other keys are signed by the identity that goes; the next round plans as for a new device.
                devices::expect(&mut batch, &owner.user_id, &owner.device_id);
                device_list::delete_keys(&mut batch, &owner.user_id, &owner.device_id);
                self.try_commit(batch, &mut attempt).await?;
                continue;
            }
            plan_device_keys(&mut batch, &*snapshot, &owner, checked.device_keys.as_ref()).await?;
            let counts = plan_one_time_keys(&mut batch, &*snapshot, &owner, &checked.one_time_keys).await?;
            plan_fallback_keys(&mut batch, &*snapshot, &owner, &checked.fallback_keys).await?;
            drop(snapshot);
            if batch.is_empty() {
                return Ok(counts);
            }
            devices::expect(&mut batch, &owner.user_id, &owner.device_id);
            batch.wake(Topic::user(owner.user_id.as_str()));
            if batch.size() > MAX_BATCH_BYTES {
                return Err(UploadError::TooLarge);
            }
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(counts);
            }
        }
    }
}

fn check(owner: &Owner, upload: &KeysUpload) -> Result<Checked, UploadError> {
    let device_keys = upload.device_keys.as_deref().map(|raw| check_device_keys(owner, raw)).transpose()?;
    let keys = |map: &BTreeMap<String, Box<RawValue>>| {
        map.iter().map(|(id, raw)| check_key(id, raw)).collect::<Result<Vec<_>, _>>()
    };
    let (one_time_keys, fallback_keys) = (keys(&upload.one_time_keys)?, keys(&upload.fallback_keys)?);
    // The map is ordered by `algorithm:key_id`, so keys of one algorithm are neighbours.
    if fallback_keys.windows(2).any(|pair| matches!(pair, [a, b] if a.algorithm == b.algorithm)) {
        return Err(UploadError::Malformed("there may be one fallback key for each algorithm"));
    }
    Ok(Checked { device_keys, one_time_keys, fallback_keys })
}

fn check_device_keys(owner: &Owner, raw: &RawValue) -> Result<CanonicalObject, UploadError> {
    let mut object = json::object(raw)?;
    object.remove("unsigned");
    if object.get_str("user_id") != Some(owner.user_id.as_str())
        || object.get_str("device_id") != Some(owner.device_id.as_str())
    {
        return Err(UploadError::NotYours);
    }
    let strings = |value: &CanonicalValue| value.as_str().is_some();
    let algorithms = object.get("algorithms").and_then(CanonicalValue::as_array);
    if !algorithms.is_some_and(|algorithms| algorithms.iter().all(strings)) {
        return Err(UploadError::Malformed("device_keys.algorithms must be a list of names"));
    }
    if !object.get_object("keys").is_some_and(|keys| keys.iter().all(|(_, key)| strings(key))) {
        return Err(UploadError::Malformed("device_keys.keys must be an object of keys"));
    }
    // Without signatures other clients will not trust the device, which is for them to say; other servers take it.
    if object.contains_key("signatures") && object.get_object("signatures").is_none() {
        return Err(UploadError::Malformed("device_keys.signatures must be an object"));
    }
    Ok(object)
}

fn check_key(id: &str, raw: &RawValue) -> Result<Key, UploadError> {
    let Some((algorithm, key_id)) = id.split_once(':') else {
        return Err(UploadError::Malformed("one-time and fallback keys must be named algorithm:key_id"));
    };
    if algorithm.is_empty() || key_id.is_empty() || id.len() > MAX_NAME {
        return Err(UploadError::Malformed("the name of a key is empty or too long"));
    }
    let value = json::value(raw)?;
    let public_key = match &value {
        CanonicalValue::String(key) => Some(key.as_str()),
        CanonicalValue::Object(object) => object.get_str("key"),
        _ => None,
    };
    let Some(public_key) = public_key.map(ToOwned::to_owned) else {
        return Err(UploadError::Malformed("a key must be a string, or an object with a string named key"));
    };
    if public_key.len() > MAX_PUBLIC_KEY || raw.get().len() > MAX_KEY_JSON {
        return Err(UploadError::Malformed("a one-time or fallback key is too long"));
    }
    Ok(Key {
        algorithm: algorithm.to_owned(),
        key_id: key_id.to_owned(),
        json: Bytes::from(value.to_bytes()),
        public_key,
    })
}

async fn plan_device_keys(
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    owner: &Owner,
    keys: Option<&CanonicalObject>,
) -> Result<(), UploadError> {
    let Some(new) = keys else { return Ok(()) };
    let key = (owner.user_id.clone(), owner.device_id.clone());
    let json = json::to_store(new);
    let old = snapshot.get::<DeviceKeys>(&key).await?;
    if let Some(old) = &old {
        if old.json == json {
            return Ok(());
        }
        batch.expect_column::<DeviceKeys>(&key, "changed", &old.changed);
    } else {
        batch.expect_absent::<DeviceKeys>(&key);
    }
    let cross_signing = Scan::prefix::<CrossSigningKey>((owner.user_id.clone(),), 3);
    let cross_signing = snapshot.scan::<CrossSigningKey>(cross_signing).await?;
    if cross_signing.iter().any(|key| key.public_key == owner.device_id.as_str()) {
        return Err(UploadError::IdInUse);
    }
    if old.is_none() {
        // What an earlier device of this id signed was not signed with this key.
        for master in cross_signing.iter().filter(|key| key.usage == KeyUsage::Master) {
            let signing_key = format!("ed25519:{}", owner.device_id);
            let user_id = &owner.user_id;
            let signed = (user_id.clone(), master.public_key.clone(), user_id.clone(), signing_key);
            batch.delete::<KeySignature>(&signed);
        }
    }
    let changed = device_list::touch(batch, snapshot, &owner.user_id).await?;
    batch.put(&DeviceKeys { user_id: key.0, device_id: key.1, json, changed });
    Ok(())
}

/// Whether the device has identity keys that these are to take the place of: its client has lost them and kept the
/// session.
async fn replaces_identity(
    snapshot: &dyn Snapshot,
    owner: &Owner,
    keys: Option<&CanonicalObject>,
) -> Result<bool, UploadError> {
    let Some(new) = keys else { return Ok(false) };
    let old = snapshot.get::<DeviceKeys>(&(owner.user_id.clone(), owner.device_id.clone())).await?;
    let old = old.and_then(|old| json::stored(&old.json));
    Ok(old.is_some_and(|old| identity_changed(&old, new)))
}

/// Whether a key that the device had is gone or another one.
fn identity_changed(old: &CanonicalObject, new: &CanonicalObject) -> bool {
    let new = new.get_object("keys");
    let same = |id: &str, key: &CanonicalValue| new.and_then(|new| new.get(id)) == Some(key);
    old.get_object("keys").is_some_and(|old| !old.iter().all(|(id, key)| same(id, key)))
}

async fn plan_one_time_keys(
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    owner: &Owner,
    keys: &[Key],
) -> Result<BTreeMap<String, i64>, UploadError> {
    let device = (owner.user_id.clone(), owner.device_id.clone());
    let scan = Scan::prefix::<OneTimeKeyCount>(device, MAX_ALGORITHMS);
    let known = snapshot.scan::<OneTimeKeyCount>(scan).await?;
    let mut counts: BTreeMap<String, i64> =
        known.iter().map(|row| (row.algorithm.clone(), row.unclaimed)).collect();
    let mut added: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    let ids: Vec<_> = keys.iter().map(|key| row_key(owner, key)).collect();
    let unclaimed = snapshot.get_all::<OneTimeKey>(&ids).await?;
    let claimed = snapshot.get_all::<ClaimedKey>(&ids).await?;
    let uploaded = if keys.is_empty() { None } else { Some(batch.next_pos()) };
    for ((key, id), (held, claimed)) in keys.iter().zip(&ids).zip(unclaimed.iter().zip(claimed)) {
        if let Some(held) = held {
            check_same(key, held)?;
            continue;
        }
        let (new, forgotten) = added.entry(&key.algorithm).or_default();
        if let Some(claimed) = claimed {
            if claimed.public_key == key.public_key {
                continue;
            }
            batch.delete::<ClaimedKey>(id);
            *forgotten += 1;
        }
        *new += 1;
        let (user_id, device_id, algorithm, key_id) = id.clone();
        let Some(uploaded) = uploaded else { continue };
        batch.insert(&OneTimeKey { user_id, device_id, algorithm, key_id, json: key.json.clone(), uploaded });
    }
    for (algorithm, (new, forgotten)) in added {
        let count = counts.entry(algorithm.to_owned()).or_default();
        *count += new;
        let key = (owner.user_id.clone(), owner.device_id.clone(), algorithm.to_owned());
        if known.iter().any(|row| row.algorithm == algorithm) {
            if new > 0 {
                batch.add::<OneTimeKeyCount>(&key, "unclaimed", new);
                batch.add::<OneTimeKeyCount>(&key, "remembered", -forgotten);
            }
        } else {
            let (user_id, device_id, algorithm) = key;
            batch.insert(&OneTimeKeyCount { user_id, device_id, algorithm, unclaimed: new, remembered: 0 });
        }
    }
    if counts.values().sum::<i64>() > MAX_ONE_TIME_KEYS || counts.len() > MAX_ALGORITHMS {
        return Err(UploadError::TooMany);
    }
    counts.entry(SIGNED_CURVE25519.to_owned()).or_default();
    Ok(counts)
}

fn row_key(owner: &Owner, key: &Key) -> (OwnedUserId, OwnedDeviceId, String, String) {
    (owner.user_id.clone(), owner.device_id.clone(), key.algorithm.clone(), key.key_id.clone())
}

/// The same key signed once more is the same key; another one under its id is the client's loss of memory.
fn check_same(key: &Key, held: &OneTimeKey) -> Result<(), UploadError> {
    let old = String::from_utf8_lossy(&held.json).into_owned();
    let same = match json::stored(&held.json) {
        Some(object) => object.get_str("key") == Some(&key.public_key),
        None => held.json == key.json,
    };
    if same {
        return Ok(());
    }
    let new = String::from_utf8_lossy(&key.json).into_owned();
    Err(UploadError::DuplicateOneTimeKey { id: format!("{}:{}", key.algorithm, key.key_id), old, new })
}

async fn plan_fallback_keys(
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    owner: &Owner,
    keys: &[Key],
) -> Result<(), UploadError> {
    if keys.is_empty() {
        return Ok(());
    }
    let device = (owner.user_id.clone(), owner.device_id.clone());
    let held = snapshot.scan::<FallbackKey>(Scan::prefix::<FallbackKey>(device, MAX_ALGORITHMS)).await?;
    let new = keys.iter().filter(|key| !held.iter().any(|held| held.algorithm == key.algorithm)).count();
    if held.len() + new > MAX_ALGORITHMS {
        return Err(UploadError::TooMany);
    }
    for key in keys {
        // A key that was handed out stays marked as used, however often it is uploaded.
        let same = |held: &&FallbackKey| held.algorithm == key.algorithm && held.key_id == key.key_id;
        if held.iter().find(same).is_some_and(|held| public_key(&held.json) == Some(key.public_key.clone())) {
            continue;
        }
        let (user_id, device_id, algorithm, key_id) = row_key(owner, key);
        batch.put(&FallbackKey {
            user_id,
            device_id,
            algorithm,
            key_id,
            json: key.json.clone(),
            used: false,
        });
    }
    Ok(())
}

/// The key of a stored one-time or fallback key, without its signatures.
pub(crate) fn public_key(stored: &[u8]) -> Option<String> {
    match json::stored(stored) {
        Some(object) => object.get_str("key").map(ToOwned::to_owned),
        None => serde_json::from_slice(stored).ok(),
    }
}

#[cfg(test)]
mod tests;
