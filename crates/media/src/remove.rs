//! Deleting files: for the operator's commands, retention and erasure, which decide who may.

use std::collections::BTreeMap;

use myelin_store::schema::media::{self, MediaContent, MediaThumbnail, MediaUsage};
use myelin_store::{Batch, CommitError, Reader, Scan};

use crate::content::{blob_id, key};
use crate::{Media, StorageError, fence, usage};

/// More thumbnails than an upload can have: the sizes are a fixed list.
const THUMBNAILS: usize = 1000;

pub(crate) const ATTEMPTS: u32 = 8;

impl Media {
    /// Deletes a local file, its thumbnails, and the bytes that nothing else points at. Answers whether there was
    /// one. When this returns, nobody gets the file any more, and its bytes are off the disk; a crash on the way
    /// leaves either the file, or bytes that the next start deletes.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn delete(&self, media_id: &str) -> Result<bool, StorageError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.try_delete(media_id).await {
                // A thumbnail was made meanwhile, or somebody else deletes it too.
                Err(StorageError::Commit(CommitError::Conflict { .. })) if attempt < ATTEMPTS => {}
                result => return result,
            }
        }
    }

    async fn try_delete(&self, media_id: &str) -> Result<bool, StorageError> {
        let id = (media_id.to_owned(),);
        let snapshot = self.engine.snapshot().await?;
        let Some(row) = snapshot.get::<media::Media>(&id).await? else { return Ok(false) };
        let every = Scan::prefix::<MediaThumbnail>(id.clone(), THUMBNAILS);
        let thumbnails: Vec<MediaThumbnail> = snapshot.scan(every.clone()).await?;
        let owner = snapshot.get::<MediaUsage>(&(row.uploader.clone(),)).await?;
        drop(snapshot);

        let mut batch = Batch::new(fence(&*self.engine, media_id));
        // Every thumbnail that is added raises the count of one, so the row tells whether there are more by now.
        batch.expect_column::<media::Media>(&id, "thumbnails", &row.thumbnails);
        batch.delete::<media::Media>(&id);
        if row.counted && owner.is_some() {
            usage::count(&mut batch, &row.uploader, -1, -row.size);
        }
        batch.delete_range(every);
        let mut gone = BTreeMap::<_, i64>::new();
        *gone.entry(blob_id(&row.sha256)?).or_default() += 1;
        for thumbnail in &thumbnails {
            *gone.entry(blob_id(&thumbnail.sha256)?).or_default() += 1;
        }
        for (blob, count) in &gone {
            batch.add::<MediaContent>(&key(*blob), "refs", -count);
        }
        self.engine.commit(batch).await?;
        for blob in gone.into_keys() {
            self.contents.free(blob).await?;
        }
        Ok(true)
    }
}
