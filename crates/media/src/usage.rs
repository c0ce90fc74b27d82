//! How much each user has uploaded, and how much they may.

use myelin_store::schema::media::MediaUsage;
use myelin_store::{Batch, CommitError, Engine};
use ruma::{OwnedUserId, UserId};

use crate::{Media, StorageError, fence};

/// The most that one user may have uploaded. Without a figure there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// In bytes, thumbnails left out.
    pub bytes: Option<u64>,
    /// In files.
    pub files: Option<u64>,
}

impl Quota {
    pub(crate) fn is_open(self) -> bool {
        self == Self::default()
    }

    /// Whether a file of this size fits in beside what is there.
    pub(crate) fn allows(self, usage: Usage, size: u64) -> bool {
        let fits = |limit: Option<u64>, sum: u64| limit.is_none_or(|limit| sum <= limit);
        fits(self.bytes, usage.bytes.saturating_add(size)) && fits(self.files, usage.files.saturating_add(1))
    }
}

/// What a user has uploaded that is still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many files.
    pub files: u64,
    /// How many bytes they have, also where several have the same content.
    pub bytes: u64,
}

impl Media {
    /// What a user has uploaded that is still there.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn usage(&self, user_id: &UserId) -> Result<Usage, StorageError> {
        read(&*self.engine, user_id).await
    }

    /// Makes the row of a user that has none. The first upload pays for it with a commit of its own, and all others
    /// only add.
    pub(crate) async fn open_usage(&self, user_id: &OwnedUserId) -> Result<(), StorageError> {
        let key = (user_id.clone(),);
        if self.engine.get_now::<MediaUsage>(&key).await?.is_some() {
            return Ok(());
        }
        let mut batch = Batch::new(fence(&*self.engine, user_id.as_str()));
        batch.insert(&MediaUsage { user_id: user_id.clone(), files: 0, bytes: 0 });
        match self.engine.commit(batch).await {
            // Another upload of theirs was first.
            Err(CommitError::Conflict { .. }) => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }
}

pub(crate) async fn read(engine: &dyn Engine, user_id: &UserId) -> Result<Usage, StorageError> {
    let row = engine.get_now::<MediaUsage>(&(user_id.to_owned(),)).await?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(row.map(|row| Usage { files: count(row.files), bytes: count(row.bytes) }).unwrap_or_default())
}

/// Counts a file of this size in, or with a negative sign out.
pub(crate) fn count(batch: &mut Batch, user_id: &UserId, files: i64, bytes: i64) {
    let key = (user_id.to_owned(),);
    batch.add::<MediaUsage>(&key, "files", files);
    batch.add::<MediaUsage>(&key, "bytes", bytes);
}
