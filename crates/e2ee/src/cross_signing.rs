//! `/keys/device_signing/upload`: a user publishes cross-signing keys.

use std::collections::BTreeMap;

use myelin_model::{Requester, Shard};
use myelin_pdu::{CanonicalError, CanonicalObject, CanonicalValue, VerifyingKey, verify_json};
use myelin_store::schema::auth::Device;
use myelin_store::schema::e2ee::{CrossSigningKey, KeySignature, KeyUsage};
use myelin_store::{Batch, CommitError, Planned, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use serde_json::value::RawValue;

use crate::{E2ee, device_list, json};

/// The longest cross-signing key with its signatures, in bytes.
const MAX_KEY_JSON: usize = 65_536;

/// Cross-signing keys to publish.
#[derive(Debug, Default)]
pub struct CrossSigningUpload {
    /// The user's identity.
    pub master_key: Option<Box<RawValue>>,
    /// Signed by the master key.
    pub self_signing_key: Option<Box<RawValue>>,
    /// Signed by the master key.
    pub user_signing_key: Option<Box<RawValue>>,
}

/// Whether the user must prove once more who they are (user-interactive authentication) before the keys are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reauthentication {
    /// There are keys, and these are others.
    Needed,
    /// There is no master key yet, or these are the very keys that are there (MSC3967).
    NotNeeded,
}

/// Why cross-signing keys were not taken. None was.
#[derive(Debug, thiserror::Error)]
pub enum CrossSigningError {
    /// A self-signing or user-signing key without a master key, here or in the request.
    #[error("there is no master key that could have signed the other keys")]
    NoMasterKey,
    /// A key is not signed by the master key.
    #[error("the {} key is not signed by the master key", .0.as_str())]
    InvalidSignature(KeyUsage),
    /// A key has the id of one of the user's devices.
    #[error("the {} key has the id of one of your devices", .0.as_str())]
    IdInUse(KeyUsage),
    /// A key names another user.
    #[error("the {} key must name the user who uploads it", .0.as_str())]
    NotYours(KeyUsage),
    /// A key does not have the form of one.
    #[error("the {} key {problem}", .usage.as_str())]
    Malformed {
        /// Which.
        usage: KeyUsage,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A key has no canonical JSON, which its signature is made over.
    #[error("a key has no canonical JSON: {0}")]
    NotCanonical(#[from] CanonicalError),
    /// The keys would replace others, and the requester has not proved who they are.
    #[error("replacing cross-signing keys needs another authentication")]
    NeedsReauthentication,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A cross-signing key, read.
struct Key {
    usage: KeyUsage,
    public_key: String,
    verifying: VerifyingKey,
    object: CanonicalObject,
}

impl E2ee {
    /// Whether these keys may only be taken after user-interactive authentication.
    ///
    /// # Errors
    /// See [`CrossSigningError`].
    pub async fn cross_signing_reauthentication(
        &self,
        requester: &Requester,
        upload: &CrossSigningUpload,
    ) -> Result<Reauthentication, CrossSigningError> {
        let keys = check(&requester.user_id, upload)?;
        let snapshot = self.engine.snapshot().await?;
        let held = load(&*snapshot, &requester.user_id).await?;
        Ok(reauthentication(&held, &keys))
    }

    /// Publishes the keys, all or none. `done` says whether the requester has just authenticated; where that is
    /// needed and not done, nothing is taken.
    ///
    /// # Errors
    /// See [`CrossSigningError`].
    pub async fn upload_cross_signing_keys(
        &self,
        requester: &Requester,
        upload: &CrossSigningUpload,
        done: Reauthenticated,
    ) -> Result<(), CrossSigningError> {
        let user_id = &requester.user_id;
        let keys = check(user_id, upload)?;
        let _turn = self.turns.of(Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let held = load(&*snapshot, user_id).await?;
            if done == Reauthenticated::No && reauthentication(&held, &keys) == Reauthentication::Needed {
                return Err(CrossSigningError::NeedsReauthentication);
            }
            verify(user_id, &held, &keys)?;
            check_device_ids(&*snapshot, user_id, &keys).await?;
            let mut batch = self.batch(user_id);
            plan(&mut batch, &*snapshot, user_id, &held, &keys).await?;
            drop(snapshot);
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(());
            }
        }
    }
}

/// Whether the requester has just authenticated for this very request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reauthenticated {
    /// Yes, or the requester never needs to (application services).
    Yes,
    /// No.
    No,
}

fn check(user_id: &UserId, upload: &CrossSigningUpload) -> Result<Vec<Key>, CrossSigningError> {
    let parts = [
        (KeyUsage::Master, &upload.master_key),
        (KeyUsage::SelfSigning, &upload.self_signing_key),
        (KeyUsage::UserSigning, &upload.user_signing_key),
    ];
    let given = parts.into_iter().filter_map(|(usage, raw)| Some((usage, raw.as_deref()?)));
    given.map(|(usage, raw)| check_key(user_id, usage, raw)).collect()
}

fn check_key(user_id: &UserId, usage: KeyUsage, raw: &RawValue) -> Result<Key, CrossSigningError> {
    let malformed = |problem| CrossSigningError::Malformed { usage, problem };
    if raw.get().len() > MAX_KEY_JSON {
        return Err(malformed("is too large"));
    }
    let mut object = json::object(raw)?;
    object.remove("unsigned");
    if object.get_str("user_id") != Some(user_id.as_str()) {
        return Err(CrossSigningError::NotYours(usage));
    }
    let usages = object.get("usage").and_then(CanonicalValue::as_array).unwrap_or_default();
    if !usages.iter().any(|named| named.as_str() == Some(usage.as_str())) {
        return Err(malformed("does not name its usage"));
    }
    let keys = object.get_object("keys").filter(|keys| keys.len() == 1);
    let (id, key) = keys.and_then(|keys| keys.iter().next()).ok_or_else(|| malformed("must hold one key"))?;
    let key = key.as_str().unwrap_or_default();
    if id.strip_prefix("ed25519:") != Some(key) {
        return Err(malformed("must be an ed25519 key whose id is the key itself"));
    }
    let verifying = VerifyingKey::from_base64(key).map_err(|_| malformed("is no ed25519 key"))?;
    Ok(Key { usage, public_key: key.to_owned(), verifying, object })
}

/// The user's cross-signing keys.
pub(crate) async fn load(
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
) -> Result<BTreeMap<KeyUsage, CrossSigningKey>, ReadError> {
    let rows =
        snapshot.scan::<CrossSigningKey>(Scan::prefix::<CrossSigningKey>((user_id.clone(),), 3)).await?;
    Ok(rows.into_iter().map(|row| (row.usage, row)).collect())
}

fn reauthentication(held: &BTreeMap<KeyUsage, CrossSigningKey>, keys: &[Key]) -> Reauthentication {
    let known = |key: &Key| held.get(&key.usage).is_some_and(|held| held.public_key == key.public_key);
    if !held.contains_key(&KeyUsage::Master) || keys.iter().all(known) {
        Reauthentication::NotNeeded
    } else {
        Reauthentication::Needed
    }
}

/// Checks that the other keys are signed by the master key: the one that comes with them, or the one that is there.
fn verify(
    user_id: &UserId,
    held: &BTreeMap<KeyUsage, CrossSigningKey>,
    keys: &[Key],
) -> Result<(), CrossSigningError> {
    let given = keys.iter().find(|key| key.usage == KeyUsage::Master);
    let others = || keys.iter().filter(|key| key.usage != KeyUsage::Master);
    let (id, verifying) = match (given, held.get(&KeyUsage::Master)) {
        (Some(key), _) => (key.public_key.clone(), key.verifying.clone()),
        (None, Some(row)) => match VerifyingKey::from_base64(&row.public_key) {
            Ok(key) => (row.public_key.clone(), key),
            Err(_) => return Err(CrossSigningError::NoMasterKey),
        },
        (None, None) => return Err(CrossSigningError::NoMasterKey),
    };
    let master = format!("ed25519:{id}");
    for key in others() {
        let lookup = |id: &myelin_pdu::KeyId| (id.as_str() == master).then(|| verifying.clone());
        verify_json(&key.object, user_id.as_str(), lookup)
            .map_err(|_| CrossSigningError::InvalidSignature(key.usage))?;
    }
    Ok(())
}

/// Device ids and public keys share a namespace, in which no two may be the same.
async fn check_device_ids(
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
    keys: &[Key],
) -> Result<(), CrossSigningError> {
    let ids: Vec<(OwnedUserId, OwnedDeviceId)> =
        keys.iter().map(|key| (user_id.clone(), key.public_key.as_str().into())).collect();
    let devices = snapshot.get_all::<Device>(&ids).await?;
    match keys.iter().zip(devices).find(|(_, device)| device.is_some()) {
        Some((key, _)) => Err(CrossSigningError::IdInUse(key.usage)),
        None => Ok(()),
    }
}

async fn plan(
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
    held: &BTreeMap<KeyUsage, CrossSigningKey>,
    keys: &[Key],
) -> Result<(), CrossSigningError> {
    for usage in [KeyUsage::Master, KeyUsage::SelfSigning, KeyUsage::UserSigning] {
        let key = (user_id.clone(), usage);
        match held.get(&usage) {
            Some(row) => batch.expect_column::<CrossSigningKey>(&key, "changed", &row.changed),
            None => batch.expect_absent::<CrossSigningKey>(&key),
        }
    }
    let json_of = |key: &Key| json::to_store(&key.object);
    let same = |key: &&Key| held.get(&key.usage).is_some_and(|held| held.json == json_of(key));
    let news: Vec<&Key> = keys.iter().filter(|key| !same(key)).collect();
    if news.is_empty() {
        return Ok(());
    }
    if let Some(old) = held.get(&KeyUsage::Master)
        && keys.iter().any(|key| key.usage == KeyUsage::Master && key.public_key != old.public_key)
    {
        // What the old master key vouched for, and who vouched for it, means nothing any more.
        let signatures = (user_id.clone(), old.public_key.clone());
        batch.delete_range(Scan::prefix::<KeySignature>(signatures, usize::MAX));
        batch.delete::<CrossSigningKey>(&(user_id.clone(), KeyUsage::SelfSigning));
        batch.delete::<CrossSigningKey>(&(user_id.clone(), KeyUsage::UserSigning));
    }
    let changed = device_list::touch(batch, snapshot, user_id).await?;
    for key in news {
        batch.put(&CrossSigningKey {
            user_id: user_id.clone(),
            usage: key.usage,
            public_key: key.public_key.clone(),
            json: json_of(key),
            changed,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
