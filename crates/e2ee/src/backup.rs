//! Server-side key backups (client-server API, "Server-side key backups"): versions here, the sessions in them below.

mod rule;
mod sessions;

pub use self::sessions::{BackupCursor, BackupPage, BackupScope, BackupState, SessionUpload};

use bytes::Bytes;
use myelin_model::{Requester, Shard};
use myelin_store::schema::e2ee::{BackedUpSession, KeyBackup};
use myelin_store::{CommitError, Planned, ReadError, Reader, Scan, Snapshot};
use ruma::OwnedUserId;

use crate::E2ee;

/// The longest `auth_data`, in bytes.
const MAX_AUTH_DATA: usize = 65_536;

/// The longest name of an algorithm, in bytes.
const MAX_ALGORITHM: usize = 255;

/// A backup to be made, or the new `auth_data` of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBackup {
    /// How keys are encrypted.
    pub algorithm: String,
    /// The algorithm's public part: a JSON object.
    pub auth_data: Bytes,
}

/// A version of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupInfo {
    /// The version.
    pub version: String,
    /// How keys are encrypted.
    pub algorithm: String,
    /// The algorithm's public part: a JSON object.
    pub auth_data: Bytes,
    /// What it holds.
    pub state: BackupState,
}

/// Why something could not be done with a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no such version, or none at all.
    #[error("there is no such backup version")]
    NotFound,
    /// Keys are stored in the current version only.
    #[error("keys can only be stored in the current backup version, which is {current}")]
    WrongVersion {
        /// The current version.
        current: String,
    },
    /// The algorithm of a version can't be changed.
    #[error("the algorithm is not the one of this backup version")]
    OtherAlgorithm,
    /// Something has no form that could be served.
    #[error("{0}")]
    Malformed(&'static str),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl E2ee {
    /// Makes a new version, which is the current one from now on, and answers with its name.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn create_backup(&self, requester: &Requester, new: &NewBackup) -> Result<String, BackupError> {
        check(new)?;
        let user_id = &requester.user_id;
        let _turn = self.backup_turns.of(Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let newest = Scan::prefix::<KeyBackup>((user_id.clone(),), 1).backward();
            let newest = self.engine.snapshot().await?.scan::<KeyBackup>(newest).await?;
            let version = newest.first().map_or(1, |row| row.version + 1);
            let mut batch = self.batch(user_id);
            batch.insert(&KeyBackup {
                user_id: user_id.clone(),
                version,
                deleted: false,
                algorithm: new.algorithm.clone(),
                auth_data: new.auth_data.clone(),
                count: 0,
                etag: 0,
            });
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(version.to_string());
            }
        }
    }

    /// One version, or the current one where none is named.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn backup(
        &self,
        requester: &Requester,
        version: Option<&str>,
    ) -> Result<BackupInfo, BackupError> {
        let snapshot = self.engine.snapshot().await?;
        let row = match version {
            Some(version) => existing(&*snapshot, &requester.user_id, version).await?,
            None => current(&*snapshot, &requester.user_id).await?.ok_or(BackupError::NotFound)?,
        };
        Ok(BackupInfo {
            version: row.version.to_string(),
            state: BackupState::of(&row),
            algorithm: row.algorithm,
            auth_data: row.auth_data,
        })
    }

    /// Replaces the `auth_data` of a version. The algorithm must be the version's.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn update_backup(
        &self,
        requester: &Requester,
        version: &str,
        new: &NewBackup,
    ) -> Result<(), BackupError> {
        check(new)?;
        let user_id = &requester.user_id;
        let _turn = self.backup_turns.of(Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let row = existing(&*self.engine.snapshot().await?, user_id, version).await?;
            if row.algorithm != new.algorithm {
                return Err(BackupError::OtherAlgorithm);
            }
            if row.auth_data == new.auth_data {
                return Ok(());
            }
            let mut batch = self.batch(user_id);
            expect_unchanged(&mut batch, &row);
            batch.put(&KeyBackup { auth_data: new.auth_data.clone(), ..row });
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(());
            }
        }
    }

    /// Deletes a version with all its keys. Deleting it once more is no error.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn delete_backup(&self, requester: &Requester, version: &str) -> Result<(), BackupError> {
        let user_id = &requester.user_id;
        let _turn = self.backup_turns.of(Shard::of(user_id.as_str())).await;
        let mut attempt = 0;
        loop {
            let row = lookup(&*self.engine.snapshot().await?, user_id, version).await?;
            let row = row.ok_or(BackupError::NotFound)?;
            if row.deleted {
                return Ok(());
            }
            let mut batch = self.batch(user_id);
            expect_unchanged(&mut batch, &row);
            let sessions = (user_id.clone(), row.version);
            batch.delete_range(Scan::prefix::<BackedUpSession>(sessions, usize::MAX));
            batch.put(&KeyBackup { deleted: true, auth_data: Bytes::new(), count: 0, ..row });
            if self.try_commit(batch, &mut attempt).await? == Planned::Done {
                return Ok(());
            }
        }
    }
}

fn check(new: &NewBackup) -> Result<(), BackupError> {
    if new.algorithm.is_empty() || new.algorithm.len() > MAX_ALGORITHM {
        return Err(BackupError::Malformed("the name of the algorithm is empty or too long"));
    }
    if new.auth_data.first() != Some(&b'{') {
        return Err(BackupError::Malformed("auth_data must be an object"));
    }
    if new.auth_data.len() > MAX_AUTH_DATA {
        return Err(BackupError::Malformed("auth_data is too large"));
    }
    Ok(())
}

/// Expects of the version everything that another writer may change.
fn expect_unchanged(batch: &mut myelin_store::Batch, row: &KeyBackup) {
    let key = (row.user_id.clone(), row.version);
    batch.expect_column::<KeyBackup>(&key, "etag", &row.etag);
    batch.expect_column::<KeyBackup>(&key, "deleted", &row.deleted);
    batch.expect_column::<KeyBackup>(&key, "auth_data", &row.auth_data);
}

/// The newest version that is not deleted.
async fn current(snapshot: &dyn Snapshot, user_id: &OwnedUserId) -> Result<Option<KeyBackup>, ReadError> {
    let scan = Scan::index::<KeyBackup>(KeyBackup::BY_STATE, (user_id.clone(), false), 1).backward();
    Ok(snapshot.scan::<KeyBackup>(scan).await?.pop())
}

/// The version, deleted or not.
async fn lookup(
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
    version: &str,
) -> Result<Option<KeyBackup>, ReadError> {
    let number = version.parse::<i64>().ok().filter(|number| number.to_string() == version);
    let Some(number) = number else { return Ok(None) };
    snapshot.get::<KeyBackup>(&(user_id.clone(), number)).await
}

/// The version, which must not be deleted.
async fn existing(
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
    version: &str,
) -> Result<KeyBackup, BackupError> {
    let row = lookup(snapshot, user_id, version).await?;
    row.filter(|row| !row.deleted).ok_or(BackupError::NotFound)
}

#[cfg(test)]
mod tests;
