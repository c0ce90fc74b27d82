//! Blobs and their counts, kept in step.
//!
//! A blob exists only under a row of [`MediaContent`] that was durable first, and goes only while that row counts no
//! records. Both happen under a lock by digest, so that content which is uploaded again while it is being freed ends
//! up whole.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use myelin_store::schema::media::MediaContent;
use myelin_store::{Batch, CommitError, Engine, Reader, Scan};
use tokio::sync::MutexGuard;

use crate::blob::{Blob, BlobId, BlobStore, Sealed, Staged};
use crate::stripes::Stripes;
use crate::{StorageError, fence};

/// How many rows the sweep reads at once.
const SWEEP_PAGE: usize = 256;

pub(crate) struct Contents {
    engine: Arc<dyn Engine>,
    blobs: Arc<dyn BlobStore>,
    stripes: Stripes,
}

impl Contents {
    pub(crate) fn new(engine: Arc<dyn Engine>, blobs: Arc<dyn BlobStore>) -> Self {
        Self { engine, blobs, stripes: Stripes::new() }
    }

    /// Begins to take bytes in.
    pub(crate) fn stage(&self) -> Box<dyn Staged> {
        self.blobs.stage()
    }

    /// The bytes behind a record.
    pub(crate) async fn read(&self, id: BlobId, part: Range<u64>) -> Result<Blob, StorageError> {
        self.blobs.read(id, part).await?.ok_or(StorageError::Missing(id))
    }

    /// Makes sealed bytes durable, then commits the record that points at them, which `record` adds to the batch.
    /// Where that record's expectations don't hold, nothing was kept.
    pub(crate) async fn keep(
        &self,
        staged: Box<dyn Staged>,
        sealed: Sealed,
        record: impl FnOnce(&mut Batch) + Send,
    ) -> Result<(), StorageError> {
        let id = sealed.id;
        let _lock = self.lock(id).await;
        let kept = self.put_down(staged, sealed, record).await;
        if let Err(error) = &kept {
            // A commit of unknown outcome may have made the record: then the next start decides.
            let known = !matches!(error, StorageError::Commit(CommitError::Unavailable(_)));
            let freed = if known { self.free_locked(id).await } else { Ok(()) };
            // Of a full disk the operator was told.
            if let Err(error) = freed
                && !matches!(error, StorageError::Full)
            {
                tracing::warn!(%error, blob = %id, "a blob without a record is left; the next start will free it");
            }
        }
        kept
    }

    async fn put_down(
        &self,
        mut staged: Box<dyn Staged>,
        sealed: Sealed,
        record: impl FnOnce(&mut Batch) + Send,
    ) -> Result<(), StorageError> {
        let id = sealed.id;
        let (announced, synced) = futures_util::join!(self.announce(sealed), staged.sync());
        announced?;
        synced?;
        staged.publish().await?;
        let mut batch = self.batch(id);
        batch.add::<MediaContent>(&key(id), "refs", 1);
        record(&mut batch);
        self.engine.commit(batch).await?;
        Ok(())
    }

    /// Makes the row of the blob durable, if it is not there yet.
    async fn announce(&self, sealed: Sealed) -> Result<(), StorageError> {
        let id = sealed.id;
        if self.engine.get_now::<MediaContent>(&key(id)).await?.is_some() {
            return Ok(());
        }
        let size = i64::try_from(sealed.size).map_err(|_| StorageError::Full)?;
        let mut batch = self.batch(id);
        batch.insert(&MediaContent { sha256: id.to_bytes(), size, refs: 0 });
        self.engine.commit(batch).await?;
        Ok(())
    }

    /// Deletes the blob and its row, unless a record points at it.
    pub(crate) async fn free(&self, id: BlobId) -> Result<(), StorageError> {
        let _lock = self.lock(id).await;
        self.free_locked(id).await
    }

    async fn free_locked(&self, id: BlobId) -> Result<(), StorageError> {
        let row = self.engine.get_now::<MediaContent>(&key(id)).await?;
        if row.is_none_or(|row| row.refs > 0) {
            return Ok(());
        }
        self.blobs.remove(id).await?;
        let mut batch = self.batch(id);
        batch.expect_column::<MediaContent>(&key(id), "refs", &0_i64);
        batch.delete::<MediaContent>(&key(id));
        self.engine.commit(batch).await?;
        Ok(())
    }

    /// Frees every blob that no record points at. Only before anything is uploaded.
    pub(crate) async fn sweep(&self) -> Result<(), StorageError> {
        let mut after = Bytes::new();
        loop {
            let scan = Scan::index::<MediaContent>(MediaContent::BY_REFS, (0_i64,), SWEEP_PAGE)
                .after((after.clone(),));
            let rows: Vec<MediaContent> = self.engine.snapshot().await?.scan(scan).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.sha256.clone();
            for row in rows {
                let id = blob_id(&row.sha256)?;
                match self.free(id).await {
                    Ok(()) => tracing::info!(blob = %id, "freed a blob that no record points at"),
                    Err(error) => {
                        tracing::warn!(%error, blob = %id, "a blob without a record can't be freed");
                    }
                }
            }
        }
    }

    async fn lock(&self, id: BlobId) -> MutexGuard<'_, ()> {
        self.stripes.lock(id.digest()[0].into()).await
    }

    fn batch(&self, id: BlobId) -> Batch {
        Batch::new(fence(&*self.engine, &id.to_string()))
    }
}

/// The key of a blob's row.
pub(crate) fn key(id: BlobId) -> (Bytes,) {
    (id.to_bytes(),)
}

/// The blob that a record points at.
pub(crate) fn blob_id(sha256: &[u8]) -> Result<BlobId, StorageError> {
    BlobId::from_bytes(sha256).ok_or(StorageError::Damaged("a digest has not 32 bytes"))
}
