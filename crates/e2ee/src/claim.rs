//! `/keys/claim`: handing out one-time keys, first in first out, each at most once.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::future::try_join_all;
use myelin_model::{Pos, Shard, Topic};
use myelin_store::schema::e2ee::{ClaimedKey, FallbackKey, OneTimeKey, OneTimeKeyCount};
use myelin_store::{Batch, CommitError, Planned, ReadError, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedServerName, OwnedUserId};

use crate::E2ee;
use crate::upload::public_key;

/// How many claimed keys are remembered for each device and algorithm. No client keeps more keys than this that it
/// might upload again.
const REMEMBERED: i64 = 5_000;

/// Claims in one commit. A claim writes at most 4 KiB, names being at most 255 bytes long.
const CHUNK: usize = 200;

/// Why keys could not be claimed. Keys that were taken for this request meanwhile are used up, which is safe.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// What was claimed.
#[derive(Debug, Default)]
pub struct ClaimedKeys {
    /// A key for each device that had one.
    pub one_time_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, ClaimedOneTimeKey>>,
    /// Servers of asked-for users that could not be asked.
    pub unreachable: BTreeSet<OwnedServerName>,
}

/// A key that is now the requester's alone, or a fallback key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedOneTimeKey {
    /// `algorithm:key_id`.
    pub id: String,
    /// The key object or string as JSON.
    pub json: Bytes,
}

/// Whose key is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    shard: Shard,
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    algorithm: String,
}

impl Target {
    fn key(&self) -> (OwnedUserId, OwnedDeviceId, String) {
        (self.user_id.clone(), self.device_id.clone(), self.algorithm.clone())
    }
}

impl E2ee {
    /// Takes one key of the wanted algorithm from each device: the one uploaded first, or where there is none left the
    /// fallback key, which is thereby used. A one-time key is gone from the store, durably, before it is answered.
    ///
    /// # Errors
    /// See [`ClaimError`].
    pub async fn claim_keys(
        &self,
        wanted: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, String>>,
    ) -> Result<ClaimedKeys, ClaimError> {
        let mut claimed = ClaimedKeys::default();
        let mut targets = Vec::new();
        for (user_id, devices) in wanted {
            if !self.is_local(&user_id) {
                claimed.unreachable.insert(user_id.server_name().to_owned());
                continue;
            }
            let shard = Shard::of(user_id.as_str());
            targets.extend(devices.into_iter().map(|(device_id, algorithm)| Target {
                shard,
                user_id: user_id.clone(),
                device_id,
                algorithm,
            }));
        }
        targets.sort_unstable();
        // At most one commit at a time for each shard, and there are few shards.
        let shards = targets.chunk_by(|a, b| a.shard == b.shard).map(|shard| self.claim_in_shard(shard));
        for (target, key) in try_join_all(shards).await?.into_iter().flatten() {
            claimed.one_time_keys.entry(target.user_id).or_default().insert(target.device_id, key);
        }
        Ok(claimed)
    }

    async fn claim_in_shard(
        &self,
        targets: &[Target],
    ) -> Result<Vec<(Target, ClaimedOneTimeKey)>, ClaimError> {
        let mut claimed = Vec::new();
        for chunk in targets.chunks(CHUNK) {
            let Some(first) = chunk.first() else { continue };
            let _turn = self.turns.of(first.shard).await;
            let mut attempt = 0;
            loop {
                let mut batch = self.batch(&first.user_id);
                let snapshot = self.engine.snapshot().await?;
                let keys = plan(&mut batch, &*snapshot, chunk).await?;
                drop(snapshot);
                if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                    claimed.extend(keys);
                    break;
                }
            }
        }
        Ok(claimed)
    }
}

async fn plan(
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    targets: &[Target],
) -> Result<Vec<(Target, ClaimedOneTimeKey)>, ReadError> {
    let oldest = |t: &Target| Scan::index::<OneTimeKey>(OneTimeKey::BY_AGE, t.key(), 1);
    let oldest = snapshot.scan_all::<OneTimeKey>(targets.iter().map(oldest).collect()).await?;
    let keys: Vec<_> = targets.iter().map(Target::key).collect();
    let counts = snapshot.get_all::<OneTimeKeyCount>(&keys).await?;
    let fallbacks = snapshot.get_all::<FallbackKey>(&keys).await?;
    let claimed = batch.next_pos();
    let mut answers = Vec::new();
    let mut crowded = Vec::new();
    for (target, ((oldest, count), fallback)) in
        targets.iter().zip(oldest.into_iter().zip(counts).zip(fallbacks))
    {
        let answer = if let Some(key) = oldest.into_iter().next() {
            if count.is_some_and(|count| count.remembered >= REMEMBERED) {
                crowded.push(target);
            }
            take(batch, key, claimed)
        } else if let Some(key) = fallback {
            use_fallback(batch, key)
        } else {
            continue;
        };
        batch.wake(Topic::user(target.user_id.as_str()));
        answers.push((target.clone(), answer));
    }
    forget_oldest(batch, snapshot, &crowded).await?;
    Ok(answers)
}

fn take(batch: &mut Batch, key: OneTimeKey, claimed: Pos) -> ClaimedOneTimeKey {
    let OneTimeKey { user_id, device_id, algorithm, key_id, json, uploaded } = key;
    let answer = ClaimedOneTimeKey { id: format!("{algorithm}:{key_id}"), json };
    let count = (user_id.clone(), device_id.clone(), algorithm.clone());
    batch.add::<OneTimeKeyCount>(&count, "unclaimed", -1);
    batch.add::<OneTimeKeyCount>(&count, "remembered", 1);
    let key = (user_id, device_id, algorithm, key_id);
    batch.expect_column::<OneTimeKey>(&key, "uploaded", &uploaded);
    batch.delete::<OneTimeKey>(&key);
    let (user_id, device_id, algorithm, key_id) = key;
    let public_key = public_key(&answer.json).unwrap_or_default();
    batch.put(&ClaimedKey { user_id, device_id, algorithm, key_id, public_key, claimed });
    answer
}

fn use_fallback(batch: &mut Batch, key: FallbackKey) -> ClaimedOneTimeKey {
    let answer =
        ClaimedOneTimeKey { id: format!("{}:{}", key.algorithm, key.key_id), json: key.json.clone() };
    if !key.used {
        let row = (key.user_id.clone(), key.device_id.clone(), key.algorithm.clone());
        batch.expect_column::<FallbackKey>(&row, "key_id", &key.key_id);
        batch.put(&FallbackKey { used: true, ..key });
    }
    answer
}

/// Forgets two claimed keys of each device that is at the limit, so that memory shrinks back where it has grown.
async fn forget_oldest(
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    targets: &[&Target],
) -> Result<(), ReadError> {
    let oldest = |t: &&Target| Scan::index::<ClaimedKey>(ClaimedKey::BY_AGE, t.key(), 2);
    for rows in snapshot.scan_all::<ClaimedKey>(targets.iter().map(oldest).collect()).await? {
        for row in rows {
            let count = (row.user_id.clone(), row.device_id.clone(), row.algorithm.clone());
            batch.add::<OneTimeKeyCount>(&count, "remembered", -1);
            batch.delete::<ClaimedKey>(&(row.user_id, row.device_id, row.algorithm, row.key_id));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
