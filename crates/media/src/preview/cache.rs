//! Previews that were made: a table of fixed size, in which a new one takes the place of an old one.

use std::sync::Arc;

use myelin_store::Batch;
use myelin_store::schema::media::{PreviewImage, UrlPreview};
use sha2::{Digest, Sha256};
use url::Url;

use super::Desk;
use crate::{StorageError, fence, now};

/// How many previews are kept at most.
const SLOTS: u64 = 16_384;
/// How long one is good for, in milliseconds: an hour.
const FRESH: i64 = 3_600_000;
/// How long a page that could not be had is not asked for again, in milliseconds: five minutes.
const UNREACHABLE: i64 = 300_000;

/// Where the preview of a URL stands in the table.
fn slot(url: &Url) -> (i64,) {
    let digest: [u8; 32] = Sha256::digest(url.as_str()).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) % SLOTS;
    (i64::try_from(number).unwrap_or(0),)
}

impl Desk {
    /// The preview that is kept of a URL, if it is still good; in it `None` where the page could not be had.
    pub(super) async fn find(&self, url: &Url) -> Result<Option<Option<Arc<str>>>, StorageError> {
        let fresh = self.row(url).await?.filter(|row| row.expires > now(&self.media.env));
        Ok(fresh.map(|row| row.answer.map(Into::into)))
    }

    /// The picture that the last preview of a URL had, fresh or not.
    pub(super) async fn image_before(&self, url: &Url) -> Result<Option<String>, StorageError> {
        Ok(self.row(url).await?.and_then(|row| row.image))
    }

    async fn row(&self, url: &Url) -> Result<Option<UrlPreview>, StorageError> {
        let row = self.media.engine.get_now::<UrlPreview>(&slot(url)).await?;
        Ok(row.filter(|row| row.url == url.as_str()))
    }

    pub(super) async fn remember(
        &self,
        url: &Url,
        answer: Option<&str>,
        image: Option<String>,
    ) -> Result<(), StorageError> {
        let good_for = if answer.is_some() { FRESH } else { UNREACHABLE };
        let (slot,) = slot(url);
        let row = UrlPreview {
            slot,
            url: url.as_str().to_owned(),
            answer: answer.map(str::to_owned),
            image: image.clone(),
            expires: now(&self.media.env).saturating_add(good_for),
        };
        let mut batch = Batch::new(fence(&*self.media.engine, url.as_str()));
        if let Some(media_id) = image {
            // The picture may have gone meanwhile, to make room: then the preview is not kept either.
            batch.expect_present::<PreviewImage>(&(media_id,));
        }
        batch.put(&row);
        match self.media.engine.commit(batch).await {
            Err(myelin_store::CommitError::Conflict { .. }) => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }
}
