//! Withholding files, one or all of one content: for the operator's commands, which decide who may.

use bytes::Bytes;
use myelin_runtime::Millis;
use myelin_store::schema::media::{self, MediaQuarantine};
use myelin_store::{Batch, CommitError, Reader, Scan};
use ruma::OwnedUserId;

use crate::content::blob_id;
use crate::remove::ATTEMPTS;
use crate::{BlobId, Media, StorageError, fence, now};

/// How many records are read at once.
const PAGE: usize = 256;

/// What is recorded of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Its content.
    pub blob: BlobId,
    /// In bytes.
    pub size: u64,
    /// As the uploader declared it.
    pub content_type: String,
    /// As the uploader declared it.
    pub filename: Option<String>,
    /// Who uploaded it.
    pub uploader: OwnedUserId,
    /// When.
    pub created: Millis,
    /// Exact to a day or so.
    pub last_access: Millis,
    /// Whether it is withheld.
    pub quarantined: bool,
}

impl Media {
    /// What is recorded of a local file, withheld or not.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn about(&self, media_id: &str) -> Result<Option<About>, StorageError> {
        let row = self.engine.get_now::<media::Media>(&(media_id.to_owned(),)).await?;
        let Some(row) = row else { return Ok(None) };
        let positive = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Some(About {
            blob: blob_id(&row.sha256)?,
            size: positive(row.size),
            content_type: row.content_type,
            filename: row.filename,
            uploader: row.uploader,
            created: positive(row.created),
            last_access: positive(row.last_access),
            quarantined: row.quarantined,
        }))
    }

    /// Withholds all local files of this content from everybody, and takes in no more of it. Answers how many there
    /// are.
    ///
    /// # Errors
    /// When the store can't be read or written: then some may be withheld already, and it may be tried again.
    pub async fn quarantine_content(&self, blob: BlobId) -> Result<u64, StorageError> {
        let sha256 = blob.to_bytes();
        if !self.is_withheld(&sha256).await? {
            let mut batch = Batch::new(fence(&*self.engine, &blob.to_string()));
            batch.put(&MediaQuarantine { sha256: sha256.clone(), since: now(&self.env) });
            self.engine.commit(batch).await?;
        }
        // From here on an upload of it is refused, so that none slips past.
        self.set_all_quarantined(sha256, true).await
    }

    /// Gives all local files of this content free, also those that were withheld one by one, and takes in more of it.
    /// Answers how many there are.
    ///
    /// # Errors
    /// When the store can't be read or written: then some may be free already, and it may be tried again.
    pub async fn unquarantine_content(&self, blob: BlobId) -> Result<u64, StorageError> {
        let sha256 = blob.to_bytes();
        let count = self.set_all_quarantined(sha256.clone(), false).await?;
        let mut batch = Batch::new(fence(&*self.engine, &blob.to_string()));
        batch.delete::<MediaQuarantine>(&(sha256,));
        self.engine.commit(batch).await?;
        Ok(count)
    }

    /// Whether this content is not taken in.
    pub(crate) async fn is_withheld(&self, sha256: &Bytes) -> Result<bool, StorageError> {
        let row = self.engine.get_now::<MediaQuarantine>(&(sha256.clone(),)).await?;
        Ok(row.is_some())
    }

    async fn set_all_quarantined(&self, sha256: Bytes, quarantined: bool) -> Result<u64, StorageError> {
        let (mut after, mut count) = (String::new(), 0);
        loop {
            let scan = Scan::index::<media::Media>(media::Media::BY_CONTENT, (sha256.clone(),), PAGE);
            let snapshot = self.engine.snapshot().await?;
            let rows: Vec<media::Media> = snapshot.scan(scan.after((after.clone(),))).await?;
            drop(snapshot);
            let Some(last) = rows.last() else { return Ok(count) };
            after.clone_from(&last.media_id);
            for row in rows {
                count += u64::from(self.set_quarantined(&row.media_id, quarantined).await?);
            }
        }
    }

    /// Withholds a local file from everybody. Answers whether there is one. Its bytes stay, as evidence.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn quarantine(&self, media_id: &str) -> Result<bool, StorageError> {
        self.set_quarantined(media_id, true).await
    }

    /// Gives a file free that was withheld. Answers whether there is one.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn unquarantine(&self, media_id: &str) -> Result<bool, StorageError> {
        self.set_quarantined(media_id, false).await
    }

    async fn set_quarantined(&self, media_id: &str, quarantined: bool) -> Result<bool, StorageError> {
        let id = (media_id.to_owned(),);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let row = self.engine.get_now::<media::Media>(&id).await?;
            let Some(row) = row else { return Ok(false) };
            if row.quarantined == quarantined {
                return Ok(true);
            }
            let mut batch = Batch::new(fence(&*self.engine, media_id));
            batch.expect_column::<media::Media>(&id, "quarantined", &row.quarantined);
            // Added and not put, so that what others write to the row meanwhile stays.
            batch.add::<media::Media>(&id, "quarantined", if quarantined { 1 } else { -1 });
            match self.engine.commit(batch).await {
                Err(CommitError::Conflict { .. }) if attempt < ATTEMPTS => {}
                result => return Ok(result.map(|_| true)?),
            }
        }
    }
}
