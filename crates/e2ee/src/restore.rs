//! After a restore from a backup of the store.

use std::collections::BTreeMap;

use myelin_model::Shard;
use myelin_store::schema::e2ee::{ClaimedKey, FallbackKey, OneTimeKey, OneTimeKeyCount};
use myelin_store::{Batch, CommitError, Planned, ReadError, Reader, Scan};

use crate::E2ee;
use crate::upload::public_key;

/// Rows handled at once. Each writes at most 4 KiB, names being at most 255 bytes long.
const PAGE: usize = 200;

/// Why the keys could not all be marked. It can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl E2ee {
    /// Marks every one-time key and fallback key as used, and answers with how many one-time keys there were.
    ///
    /// A copy of the store may hold keys that were claimed after it was made; handing one out a second time would make
    /// messages undecryptable. Devices see that they have no keys left and upload new ones. Fallback keys stay, as a
    /// last resort until their devices replace them. To be called before a restored store serves anybody.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub async fn forget_one_time_keys(&self) -> Result<u64, RestoreError> {
        let mut forgotten = 0;
        loop {
            let snapshot = self.engine.snapshot().await?;
            let page = snapshot.scan::<OneTimeKey>(Scan::prefix::<OneTimeKey>((), PAGE)).await?;
            drop(snapshot);
            if page.is_empty() {
                break;
            }
            forgotten += page.len() as u64;
            let mut batches: BTreeMap<Shard, Batch> = BTreeMap::new();
            for key in page {
                let batch = batches
                    .entry(Shard::of(key.user_id.as_str()))
                    .or_insert_with(|| self.batch(&key.user_id));
                forget(batch, key);
            }
            self.commit_all(batches).await?;
        }
        self.mark_fallback_keys().await?;
        Ok(forgotten)
    }

    async fn mark_fallback_keys(&self) -> Result<(), RestoreError> {
        let mut scan = Scan::prefix::<FallbackKey>((), PAGE);
        loop {
            let page = self.engine.snapshot().await?.scan::<FallbackKey>(scan).await?;
            let Some(last) = page.last() else { return Ok(()) };
            let after = (last.user_id.clone(), last.device_id.clone(), last.algorithm.clone());
            scan = Scan::prefix::<FallbackKey>((), PAGE).after(after);
            let mut batches: BTreeMap<Shard, Batch> = BTreeMap::new();
            for key in page.into_iter().filter(|key| !key.used) {
                let shard = Shard::of(key.user_id.as_str());
                let batch = batches.entry(shard).or_insert_with(|| self.batch(&key.user_id));
                batch.put(&FallbackKey { used: true, ..key });
            }
            self.commit_all(batches).await?;
        }
    }

    /// Nobody else writes at this time, so a conflict is an error like any other.
    async fn commit_all(&self, batches: BTreeMap<Shard, Batch>) -> Result<(), RestoreError> {
        for batch in batches.into_values() {
            let mut attempt = crate::ATTEMPTS;
            let outcome = self.try_commit(batch, &mut attempt).await?;
            debug_assert_eq!(outcome, Planned::Done, "there is no attempt left");
        }
        Ok(())
    }
}

fn forget(batch: &mut Batch, key: OneTimeKey) {
    let claimed = batch.next_pos();
    let count = (key.user_id.clone(), key.device_id.clone(), key.algorithm.clone());
    batch.add::<OneTimeKeyCount>(&count, "unclaimed", -1);
    batch.add::<OneTimeKeyCount>(&count, "remembered", 1);
    let public_key = public_key(&key.json).unwrap_or_default();
    let OneTimeKey { user_id, device_id, algorithm, key_id, .. } = key;
    let id = (user_id, device_id, algorithm, key_id);
    batch.delete::<OneTimeKey>(&id);
    let (user_id, device_id, algorithm, key_id) = id;
    batch.put(&ClaimedKey { user_id, device_id, algorithm, key_id, public_key, claimed });
}

#[cfg(test)]
mod tests;
