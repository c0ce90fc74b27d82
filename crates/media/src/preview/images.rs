//! The pictures of previews: media of this server like any other, but bounded in number, size and age.

use bytes::Bytes;
use myelin_store::schema::media::{self, MediaQuarantine, PreviewImage};
use myelin_store::{Batch, Reader, Scan};
use ruma::{OwnedMxcUri, OwnedUserId};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::{Desk, PreviewError};
use crate::thumbnail::{Described, describe};
use crate::upload::MEDIA_ID;
use crate::{StorageError, fence, now};

/// How many pictures are kept.
const MOST_IMAGES: i64 = 16_384;
/// How many bytes they may have together: 1 GiB.
const MOST_BYTES: i64 = 1 << 30;
/// How long one is kept, in milliseconds: 30 days. A preview is good for much less.
const KEPT: i64 = 30 * 86_400_000;
/// How many rows are read at once.
const PAGE: usize = 256;
/// How many rounds of cleaning a new picture pays for.
const ROUNDS: u32 = 4;

/// A picture as a preview shows it.
pub(super) struct Image {
    pub(super) media_id: String,
    pub(super) uri: OwnedMxcUri,
    pub(super) content_type: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
    /// In bytes.
    pub(super) size: u64,
}

/// How much is there; counted once, when first needed.
#[derive(Default)]
pub(super) struct Stock {
    counted: Mutex<Option<Counted>>,
}

#[derive(Clone, Copy, Default)]
struct Counted {
    images: i64,
    bytes: i64,
}

impl Desk {
    /// Keeps a picture, or answers `None` where it is none that is taken. The one from before, if it is the same, is
    /// used again: so clients need not load it again.
    pub(super) async fn keep_image(
        &self,
        user_id: &OwnedUserId,
        body: Bytes,
        before: Option<String>,
    ) -> Result<Option<Image>, PreviewError> {
        let seen = body.clone();
        let described = self.media.env.cpu.run(move || describe(&seen)).await;
        let Ok(described) = described.map_err(|_| PreviewError::Busy)? else { return Ok(None) };
        let Described { content_type, width, height } = described;
        let sha256: [u8; 32] = Sha256::digest(&body).into();
        if self.media.is_withheld(&Bytes::copy_from_slice(&sha256)).await? {
            return Ok(None);
        }
        let size = body.len() as u64;
        let image = |media_id: String| {
            let uri = self.media.uri(&media_id);
            Image { media_id, uri, content_type, width, height, size }
        };
        if let Some(media_id) = before
            && self.is_same(&media_id, &sha256).await?
        {
            return Ok(Some(image(media_id)));
        }
        let mut counted = self.stock.counted.lock().await;
        let mut stock = match *counted {
            Some(stock) => stock,
            None => self.count().await?,
        };
        let length = i64::try_from(size).unwrap_or(i64::MAX);
        let cleaned = self.make_room(&mut stock, length).await;
        *counted = Some(stock);
        cleaned?;
        let media_id = self.put_down(user_id, body, content_type).await?;
        *counted = Some(Counted { images: stock.images + 1, bytes: stock.bytes.saturating_add(length) });
        Ok(Some(image(media_id)))
    }

    /// Whether this is the content of a picture that is still there; if so, it is as good as new.
    async fn is_same(&self, media_id: &str, sha256: &[u8; 32]) -> Result<bool, StorageError> {
        let key = (media_id.to_owned(),);
        let snapshot = self.media.engine.snapshot().await?;
        let row = snapshot.get::<media::Media>(&key).await?;
        if !row.is_some_and(|row| row.sha256 == sha256.as_slice() && !row.quarantined) {
            return Ok(false);
        }
        let Some(image) = snapshot.get::<PreviewImage>(&key).await? else { return Ok(false) };
        drop(snapshot);
        let mut batch = Batch::new(fence(&*self.media.engine, media_id));
        batch.expect_present::<PreviewImage>(&key);
        batch.put(&PreviewImage { created: now(&self.media.env), ..image });
        match self.media.engine.commit(batch).await {
            Err(myelin_store::CommitError::Conflict { .. }) => Ok(false),
            result => Ok(result.map(|_| true)?),
        }
    }

    async fn put_down(
        &self,
        user_id: &OwnedUserId,
        body: Bytes,
        content_type: &str,
    ) -> Result<String, StorageError> {
        let mut staged = self.media.contents.stage();
        staged.write(body).await?;
        let sealed = staged.seal().await?;
        let time = now(&self.media.env);
        let size = i64::try_from(sealed.size).unwrap_or(i64::MAX);
        let row = media::Media {
            media_id: self.media.env.random.alphanumeric(MEDIA_ID),
            sha256: sealed.id.to_bytes(),
            size,
            content_type: content_type.to_owned(),
            filename: None,
            uploader: user_id.clone(),
            created: time,
            last_access: time,
            quarantined: false,
            thumbnails: 0,
            counted: false,
        };
        let image = PreviewImage { media_id: row.media_id.clone(), size, created: time };
        let record = |batch: &mut Batch| {
            batch.expect_absent::<MediaQuarantine>(&(row.sha256.clone(),));
            batch.insert(&row);
            batch.insert(&image);
        };
        self.media.contents.keep(staged, sealed, record).await?;
        Ok(row.media_id)
    }

    async fn count(&self) -> Result<Counted, StorageError> {
        let mut counted = Counted::default();
        let mut after = String::new();
        loop {
            let scan = Scan::prefix::<PreviewImage>((), PAGE).after((after.clone(),));
            let rows: Vec<PreviewImage> = self.media.engine.snapshot().await?.scan(scan).await?;
            let Some(last) = rows.last() else { return Ok(counted) };
            after.clone_from(&last.media_id);
            counted.images += rows.len() as i64;
            counted.bytes = rows.iter().fold(counted.bytes, |sum, row| sum.saturating_add(row.size));
        }
    }

    /// Deletes the oldest pictures, as long as there are too many and as long as they are too old.
    async fn make_room(&self, stock: &mut Counted, size: i64) -> Result<(), StorageError> {
        let old = now(&self.media.env).saturating_sub(KEPT);
        for _ in 0..ROUNDS {
            let scan = Scan::index::<PreviewImage>(PreviewImage::BY_CREATED, (), PAGE);
            let oldest: Vec<PreviewImage> = self.media.engine.snapshot().await?.scan(scan).await?;
            if oldest.is_empty() {
                return Ok(());
            }
            for row in oldest {
                let is_full = stock.images >= MOST_IMAGES || stock.bytes.saturating_add(size) > MOST_BYTES;
                if !is_full && row.created > old {
                    return Ok(());
                }
                // A crash in between leaves a row without a file, which the next one to make room deletes.
                self.media.delete(&row.media_id).await?;
                let mut batch = Batch::new(fence(&*self.media.engine, &row.media_id));
                batch.delete::<PreviewImage>(&(row.media_id,));
                self.media.engine.commit(batch).await?;
                stock.images -= 1;
                stock.bytes -= row.size;
            }
        }
        Ok(())
    }
}
