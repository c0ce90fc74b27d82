//! Finding files and handing them out.

use std::ops::Range;
use std::sync::Arc;

use myelin_store::schema::media;
use myelin_store::{Batch, CommitError, Durability};
use ruma::ServerName;

use crate::blob::{Blob, BlobId, WHOLE};
use crate::content::blob_id;
use crate::{Media, StorageError, fence, now};

/// How exact [`media::Media::last_access`] is, in milliseconds: a day. A file that is read all the time costs one
/// write in that time.
const ACCESS_STEP: i64 = 86_400_000;

/// A file that can be read with [`Media::read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Which bytes. Equal for equal content, and never another's: an entity tag.
    pub blob: BlobId,
    /// In bytes.
    pub size: u64,
    /// As the uploader declared it; of a thumbnail, what it is.
    pub content_type: String,
    /// As the uploader declared it; a thumbnail has none.
    pub filename: Option<String>,
}

impl Media {
    /// The file behind `mxc://server/media_id`: `None` where there is none, where it is quarantined, and where it is
    /// on another server. Whoever has a session may have it.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn lookup(&self, server: &ServerName, media_id: &str) -> Result<Option<File>, StorageError> {
        let Some(row) = self.row(server, media_id).await? else { return Ok(None) };
        self.touch(&row);
        let (blob, size) = (blob_id(&row.sha256)?, length(row.size)?);
        Ok(Some(File { blob, size, content_type: row.content_type, filename: row.filename }))
    }

    /// The bytes of a file, as a stream.
    ///
    /// # Errors
    /// When they can't be read, or are not there.
    pub async fn read(&self, file: &File) -> Result<Blob, StorageError> {
        self.contents.read(file.blob, WHOLE).await
    }

    /// Some of the bytes of a file, as a stream.
    ///
    /// # Errors
    /// When they can't be read, or are not there.
    pub async fn read_part(&self, file: &File, part: Range<u64>) -> Result<Blob, StorageError> {
        self.contents.read(file.blob, part).await
    }

    /// The record of an upload that may be served.
    pub(crate) async fn row(
        &self,
        server: &ServerName,
        media_id: &str,
    ) -> Result<Option<media::Media>, StorageError> {
        if !self.is_local(server) {
            return Ok(None);
        }
        let row = self.engine.get_now::<media::Media>(&(media_id.to_owned(),)).await?;
        Ok(row.filter(|row| !row.quarantined))
    }

    /// Notes that a file was read, if the last note is a day old. Nobody waits for it, and where the server is busy
    /// it is left out.
    pub(crate) fn touch(&self, row: &media::Media) {
        let delta = now(&self.env).saturating_sub(row.last_access);
        if delta < ACCESS_STEP {
            return;
        }
        let Ok(permit) = Arc::clone(&self.touches).try_acquire_owned() else { return };
        let key = (row.media_id.clone(),);
        let mut batch = Batch::new(fence(&*self.engine, &row.media_id));
        batch.durability = Durability::MayLag;
        batch.expect_column::<media::Media>(&key, "last_access", &row.last_access);
        batch.add::<media::Media>(&key, "last_access", delta);
        let engine = Arc::clone(&self.engine);
        self.env.tasks.spawn("media.touch", async move {
            match engine.commit(batch).await {
                // In a conflict somebody else has noted it, or the file is gone.
                Ok(_) | Err(CommitError::Conflict { .. }) => {}
                Err(error) => tracing::warn!(%error, "the access to a file could not be noted"),
            }
            drop(permit);
        });
    }
}

/// A size as rows hold it.
pub(crate) fn length(size: i64) -> Result<u64, StorageError> {
    u64::try_from(size).map_err(|_| StorageError::Damaged("a size is negative"))
}
