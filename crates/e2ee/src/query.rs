//! `/keys/query`: the devices and keys of users.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use myelin_model::Requester;
use myelin_pdu::CanonicalObject;
use myelin_store::schema::e2ee::{CrossSigningKey, DeviceKeys, KeySignature, KeyUsage};
use myelin_store::{ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId};

use crate::{E2ee, devices, json};

/// Users looked up at once.
const CHUNK: usize = 200;

/// The most signatures of one signer on one key.
const MAX_SIGNATURES: usize = 1_000;

/// Why keys could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// The keys that were found, each as a JSON object with the signatures that the requester may see.
#[derive(Debug, Default)]
pub struct QueriedKeys {
    /// Devices with keys. Every local user who was asked for is there, be it with none: so clients learn that the
    /// devices they knew are gone.
    pub device_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Bytes>>,
    /// Master keys.
    pub master_keys: BTreeMap<OwnedUserId, Bytes>,
    /// Self-signing keys.
    pub self_signing_keys: BTreeMap<OwnedUserId, Bytes>,
    /// The requester's own user-signing key, if the requester was asked for.
    pub user_signing_keys: BTreeMap<OwnedUserId, Bytes>,
    /// Servers of asked-for users that could not be asked.
    pub unreachable: BTreeSet<OwnedServerName>,
}

/// Signatures by what they are on: a user's device or master key.
type Signatures = BTreeMap<(OwnedUserId, String), Vec<KeySignature>>;

impl E2ee {
    /// Looks up the keys of users: of the named devices, or of all where none is named.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn query_keys(
        &self,
        requester: &Requester,
        wanted: &BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
    ) -> Result<QueriedKeys, QueryError> {
        let mut found = QueriedKeys::default();
        let (local, remote): (Vec<_>, Vec<_>) = wanted.keys().cloned().partition(|user| self.is_local(user));
        found.unreachable = remote.into_iter().map(|user| user.server_name().to_owned()).collect();
        let snapshot = self.engine.snapshot().await?;
        for users in local.chunks(CHUNK) {
            let device_keys = load_device_keys(&*snapshot, users, wanted).await?;
            let cross_signing = load_cross_signing(&*snapshot, users).await?;
            let signatures = load_signatures(&*snapshot, requester, &device_keys, &cross_signing).await?;
            let ids: Vec<_> =
                device_keys.iter().map(|row| (row.user_id.clone(), row.device_id.clone())).collect();
            let names = devices::existing(&*snapshot, &ids).await?;
            found.device_keys.extend(users.iter().map(|user| (user.clone(), BTreeMap::new())));
            for (row, id) in device_keys.into_iter().zip(ids) {
                // Keys of a device that is being removed.
                let Some(name) = names.get(&id) else { continue };
                let signatures = signatures.get(&(row.user_id.clone(), row.device_id.to_string()));
                if let Some(json) = device_json(&row, name.as_deref(), signatures) {
                    found.device_keys.entry(row.user_id).or_default().insert(row.device_id, json);
                }
            }
            found.add_cross_signing(requester, cross_signing, &signatures);
        }
        Ok(found)
    }
}

impl QueriedKeys {
    fn add_cross_signing(
        &mut self,
        requester: &Requester,
        keys: Vec<CrossSigningKey>,
        signatures: &Signatures,
    ) {
        for key in keys {
            match key.usage {
                KeyUsage::Master => {
                    let added = signatures.get(&(key.user_id.clone(), key.public_key.clone()));
                    let Some(mut object) = json::stored(&key.json) else { continue };
                    keep_visible(&mut object, requester, &key.user_id);
                    add(&mut object, added);
                    self.master_keys.insert(key.user_id, object.to_bytes().into());
                }
                KeyUsage::SelfSigning => {
                    self.self_signing_keys.insert(key.user_id, key.json);
                }
                KeyUsage::UserSigning if key.user_id == requester.user_id => {
                    self.user_signing_keys.insert(key.user_id, key.json);
                }
                KeyUsage::UserSigning => {}
            }
        }
    }
}

async fn load_device_keys(
    snapshot: &dyn Snapshot,
    users: &[OwnedUserId],
    wanted: &BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
) -> Result<Vec<DeviceKeys>, ReadError> {
    let mut scans = Vec::new();
    let mut keys = Vec::new();
    for user in users {
        match wanted.get(user).map(Vec::as_slice).unwrap_or_default() {
            [] => scans.push(Scan::prefix::<DeviceKeys>((user.clone(),), devices::MAX_DEVICES)),
            named => keys.extend(named.iter().map(|device| (user.clone(), device.clone()))),
        }
    }
    let mut rows: Vec<_> = snapshot.scan_all::<DeviceKeys>(scans).await?.into_iter().flatten().collect();
    rows.extend(snapshot.get_all::<DeviceKeys>(&keys).await?.into_iter().flatten());
    Ok(rows)
}

async fn load_cross_signing(
    snapshot: &dyn Snapshot,
    users: &[OwnedUserId],
) -> Result<Vec<CrossSigningKey>, ReadError> {
    let scans = users.iter().map(|user| Scan::prefix::<CrossSigningKey>((user.clone(),), 3)).collect();
    Ok(snapshot.scan_all::<CrossSigningKey>(scans).await?.into_iter().flatten().collect())
}

/// The signatures that the requester may see ("Key and signature security"): those that the users made on their own
/// devices and master keys, and those that the requester made on the users' master keys.
async fn load_signatures(
    snapshot: &dyn Snapshot,
    requester: &Requester,
    device_keys: &[DeviceKeys],
    cross_signing: &[CrossSigningKey],
) -> Result<Signatures, ReadError> {
    let scan = |user: &OwnedUserId, key: &str, signer: &OwnedUserId| {
        Scan::prefix::<KeySignature>((user.clone(), key.to_owned(), signer.clone()), MAX_SIGNATURES)
    };
    let mut scans: Vec<Scan> =
        device_keys.iter().map(|row| scan(&row.user_id, row.device_id.as_str(), &row.user_id)).collect();
    for master in cross_signing.iter().filter(|key| key.usage == KeyUsage::Master) {
        scans.push(scan(&master.user_id, &master.public_key, &master.user_id));
        if master.user_id != requester.user_id {
            scans.push(scan(&master.user_id, &master.public_key, &requester.user_id));
        }
    }
    let mut signatures = Signatures::new();
    for row in snapshot.scan_all::<KeySignature>(scans).await?.into_iter().flatten() {
        signatures.entry((row.user_id.clone(), row.key.clone())).or_default().push(row);
    }
    Ok(signatures)
}

fn device_json(
    row: &DeviceKeys,
    name: Option<&str>,
    signatures: Option<&Vec<KeySignature>>,
) -> Option<Bytes> {
    let mut object = json::stored(&row.json)?;
    add(&mut object, signatures);
    let name = name.map(|name| ("device_display_name".to_owned(), name.to_owned().into()));
    object.insert("unsigned", name.into_iter().collect::<CanonicalObject>());
    Some(object.to_bytes().into())
}

fn add(object: &mut CanonicalObject, signatures: Option<&Vec<KeySignature>>) {
    let Some(signatures) = signatures else { return };
    let parts = signatures.iter().map(|s| (s.signer.as_str(), s.signing_key.as_str(), s.signature.as_str()));
    json::add_signatures(object, parts);
}

/// Takes signatures by third users out of a key that its owner uploaded with them.
fn keep_visible(object: &mut CanonicalObject, requester: &Requester, owner: &OwnedUserId) {
    let Some(signatures) = object.get_object("signatures") else { return };
    let mut signatures = signatures.clone();
    signatures.retain(|signer, _| signer == owner.as_str() || signer == requester.user_id.as_str());
    object.insert("signatures", signatures);
}

#[cfg(test)]
mod tests;
