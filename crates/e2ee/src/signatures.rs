//! `/keys/signatures/upload`: signatures on devices and on master keys.

use std::collections::BTreeMap;

use myelin_model::{Requester, Shard, Topic};
use myelin_pdu::{CanonicalObject, CanonicalValue, KeyId, VerifyingKey, verify_json};
use myelin_store::schema::e2ee::{CrossSigningKey, DeviceKeys, KeySignature, KeyUsage, UserSignatureChange};
use myelin_store::{Batch, CommitError, Planned, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::value::RawValue;

use crate::{E2ee, cross_signing, device_list, devices, json};

/// The most keys that are signed in one request: what one commit takes.
const MAX_KEYS: usize = 400;

/// The longest signed object, in bytes.
const MAX_OBJECT: usize = 65_536;

/// Why no signature was taken at all.
#[derive(Debug, thiserror::Error)]
pub enum SignaturesError {
    /// More keys than one request may sign.
    #[error("at most {MAX_KEYS} keys can be signed at once")]
    TooMany,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why one key's new signatures were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFailure {
    /// There is no such device or master key.
    #[error("there is no such device or master key")]
    UnknownKey,
    /// What was signed is not an object, or has no canonical JSON.
    #[error("the signed key is not a JSON object in canonical form")]
    Malformed,
    /// What was signed is not the key that is here.
    #[error("the signed key differs from the one on this server")]
    OtherKey,
    /// There is no signature that counts, or a wrong one.
    #[error("the signature is missing or wrong")]
    InvalidSignature,
}

/// Failures by user and key id. All others succeeded.
pub type SignatureFailures = BTreeMap<OwnedUserId, BTreeMap<String, SignatureFailure>>;

/// What the requester can sign with and sign.
struct Signer {
    user_id: OwnedUserId,
    cross_signing: BTreeMap<KeyUsage, CrossSigningKey>,
    /// The requester's devices.
    devices: BTreeMap<String, DeviceKeys>,
    /// Master keys of others.
    others: BTreeMap<OwnedUserId, CrossSigningKey>,
}

/// Signatures on one key that were found right.
struct Accepted {
    signatures: Vec<(String, String)>,
    signed: Signed,
}

/// What they are on.
enum Signed {
    Device(DeviceKeys),
    Master(CrossSigningKey),
}

impl E2ee {
    /// Adds the requester's signatures: of the self-signing key on own devices, of own devices on the own master key,
    /// of the user-signing key on other users' master keys. Each key's signatures are taken or refused by themselves;
    /// the answer says which were refused.
    ///
    /// # Errors
    /// See [`SignaturesError`].
    pub async fn upload_signatures(
        &self,
        requester: &Requester,
        signed: &BTreeMap<OwnedUserId, BTreeMap<String, Box<RawValue>>>,
    ) -> Result<SignatureFailures, SignaturesError> {
        if signed.values().map(BTreeMap::len).sum::<usize>() > MAX_KEYS {
            return Err(SignaturesError::TooMany);
        }
        let _turn = self.turns.of(Shard::of(requester.user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let signer = Signer::load(&*snapshot, requester, signed.keys()).await?;
            let mut failures = SignatureFailures::new();
            let mut accepted = Vec::new();
            for (user_id, keys) in signed {
                for (key, raw) in keys {
                    match signer.verify(user_id, key, raw) {
                        Ok(found) => accepted.push(found),
                        Err(failure) => {
                            failures.entry(user_id.clone()).or_default().insert(key.clone(), failure);
                        }
                    }
                }
            }
            let mut batch = self.batch(&requester.user_id);
            plan(&mut batch, &*snapshot, &requester.user_id, accepted).await?;
            drop(snapshot);
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(failures);
            }
        }
    }
}

impl Signer {
    async fn load(
        snapshot: &dyn Snapshot,
        requester: &Requester,
        users: impl Iterator<Item = &OwnedUserId>,
    ) -> Result<Self, ReadError> {
        let user_id = requester.user_id.clone();
        let cross_signing = cross_signing::load(snapshot, &user_id).await?;
        let scan = Scan::prefix::<DeviceKeys>((user_id.clone(),), devices::MAX_DEVICES);
        let own = snapshot.scan::<DeviceKeys>(scan).await?;
        let masters: Vec<_> = users.map(|user| (user.clone(), KeyUsage::Master)).collect();
        let masters = snapshot.get_all::<CrossSigningKey>(&masters).await?;
        Ok(Self {
            user_id,
            cross_signing,
            devices: own.into_iter().map(|row| (row.device_id.to_string(), row)).collect(),
            others: masters.into_iter().flatten().map(|row| (row.user_id.clone(), row)).collect(),
        })
    }

    fn verify(&self, user_id: &OwnedUserId, key: &str, raw: &RawValue) -> Result<Accepted, SignatureFailure> {
        if raw.get().len() > MAX_OBJECT {
            return Err(SignatureFailure::Malformed);
        }
        let object = json::object(raw).map_err(|_| SignatureFailure::Malformed)?;
        let master = self.others.get(user_id).filter(|master| master.public_key == key);
        if *user_id != self.user_id {
            let master = master.ok_or(SignatureFailure::UnknownKey)?;
            let lookup = |id: &KeyId| self.cross_signing_key(KeyUsage::UserSigning, id);
            let signatures = self.signatures(&object, &master.json, lookup)?;
            Ok(Accepted { signatures, signed: Signed::Master(master.clone()) })
        } else if let Some(device) = self.devices.get(key) {
            let lookup = |id: &KeyId| self.cross_signing_key(KeyUsage::SelfSigning, id);
            let signatures = self.signatures(&object, &device.json, lookup)?;
            Ok(Accepted { signatures, signed: Signed::Device(device.clone()) })
        } else {
            let master = master.ok_or(SignatureFailure::UnknownKey)?;
            let signatures = self.signatures(&object, &master.json, |id| self.device_key(id))?;
            Ok(Accepted { signatures, signed: Signed::Master(master.clone()) })
        }
    }

    /// The requester's right signatures on the object by keys that `lookup` knows, if it is the one that is here.
    fn signatures(
        &self,
        object: &CanonicalObject,
        stored: &[u8],
        lookup: impl Fn(&KeyId) -> Option<VerifyingKey>,
    ) -> Result<Vec<(String, String)>, SignatureFailure> {
        let stored = json::stored(stored).ok_or(SignatureFailure::UnknownKey)?;
        if json::signed_part(object) != json::signed_part(&stored) {
            return Err(SignatureFailure::OtherKey);
        }
        verify_json(object, self.user_id.as_str(), &lookup)
            .map_err(|_| SignatureFailure::InvalidSignature)?;
        let made = object.get_object("signatures").and_then(|all| all.get_object(self.user_id.as_str()));
        let known = |(id, signature): (&str, &CanonicalValue)| {
            lookup(&id.parse().ok()?)?;
            Some((id.to_owned(), signature.as_str()?.to_owned()))
        };
        Ok(made.into_iter().flat_map(CanonicalObject::iter).filter_map(known).collect())
    }

    fn cross_signing_key(&self, usage: KeyUsage, id: &KeyId) -> Option<VerifyingKey> {
        let row = self.cross_signing.get(&usage)?;
        let named = id.as_str().strip_prefix("ed25519:")?;
        if named == row.public_key { VerifyingKey::from_base64(named).ok() } else { None }
    }

    fn device_key(&self, id: &KeyId) -> Option<VerifyingKey> {
        let device = self.devices.get(id.as_str().strip_prefix("ed25519:")?)?;
        let keys = json::stored(&device.json)?;
        VerifyingKey::from_base64(keys.get_object("keys")?.get_str(id.as_str())?).ok()
    }
}

async fn plan(
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    signer: &OwnedUserId,
    accepted: Vec<Accepted>,
) -> Result<(), ReadError> {
    let mut touched = false;
    for Accepted { signatures, signed } in accepted {
        let (user_id, key) = match &signed {
            Signed::Device(row) => (row.user_id.clone(), row.device_id.to_string()),
            Signed::Master(row) => (row.user_id.clone(), row.public_key.clone()),
        };
        let rows: Vec<KeySignature> = signatures
            .into_iter()
            .map(|(signing_key, signature)| KeySignature {
                user_id: user_id.clone(),
                key: key.clone(),
                signer: signer.clone(),
                signing_key,
                signature,
            })
            .collect();
        batch_signatures(batch, &signed, &rows);
        if user_id == *signer {
            touched = true;
        } else {
            let changed = batch.next_pos();
            batch.put(&UserSignatureChange { signer: signer.clone(), user_id, changed });
            batch.wake(Topic::user(signer.as_str()));
        }
    }
    if touched {
        device_list::touch(batch, snapshot, signer).await?;
    }
    Ok(())
}

fn batch_signatures(batch: &mut Batch, signed: &Signed, rows: &[KeySignature]) {
    match signed {
        Signed::Device(row) => {
            let key: (OwnedUserId, OwnedDeviceId) = (row.user_id.clone(), row.device_id.clone());
            batch.expect_column::<DeviceKeys>(&key, "changed", &row.changed);
        }
        Signed::Master(row) => {
            let key = (row.user_id.clone(), row.usage);
            batch.expect_column::<CrossSigningKey>(&key, "changed", &row.changed);
        }
    }
    for row in rows {
        batch.put(row);
    }
}

#[cfg(test)]
mod tests;
