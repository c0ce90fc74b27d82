//! URIs that are there before their files (client-server API, `POST /_matrix/media/v1/create`).

use myelin_model::{Requester, Shard};
use myelin_runtime::Millis;
use myelin_store::schema::media::{self, MediaPending};
use myelin_store::{Batch, Reader, Scan};
use ruma::{OwnedMxcUri, UserId};

use crate::upload::{MEDIA_ID, UploadError};
use crate::{Media, StorageError, fence, now};

/// How long a URI may wait for its file, in milliseconds: a day, as the spec recommends.
const LIFETIME: i64 = 86_400_000;
/// How many URIs without a file a user may have.
const PER_USER: usize = 32;
/// How many expired ones a new one takes along, so that they never pile up.
const SWEPT: usize = 16;

/// A URI that waits for its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The URI.
    pub uri: OwnedMxcUri,
    /// When it ends, unless the file has been uploaded by then.
    pub unused_expires_at: Millis,
}

/// Why there is no new URI.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The user has too many URIs without a file.
    #[error("too many uploads are pending")]
    TooMany,
    /// It could not be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Media {
    /// Makes a URI for a file that its creator uploads later, with [`Self::upload_to`].
    ///
    /// # Errors
    /// See [`CreateError`].
    pub async fn create(&self, requester: &Requester) -> Result<Created, CreateError> {
        let creator = requester.user_id.clone();
        let time = now(&self.env);
        // Whoever creates many at once is counted right.
        let _one_at_a_time = self.by_user.lock(Shard::of(creator.as_str()).number()).await;
        let pending = Scan::index::<MediaPending>(MediaPending::BY_CREATOR, (creator.clone(),), PER_USER);
        let expired = Scan::index::<MediaPending>(MediaPending::BY_EXPIRY, (), SWEPT).up_to((time,));
        let scans = vec![pending.after((time,)), expired];
        let snapshot = self.engine.snapshot().await.map_err(StorageError::from)?;
        let mut found =
            snapshot.scan_all::<MediaPending>(scans).await.map_err(StorageError::from)?.into_iter();
        drop(snapshot);
        if found.next().is_some_and(|pending| pending.len() >= PER_USER) {
            return Err(CreateError::TooMany);
        }
        let row = MediaPending {
            media_id: self.env.random.alphanumeric(MEDIA_ID),
            creator,
            expires: time.saturating_add(LIFETIME),
        };
        let mut batch = Batch::new(fence(&*self.engine, &row.media_id));
        batch.insert(&row);
        for expired in found.flatten() {
            batch.delete::<MediaPending>(&(expired.media_id,));
        }
        self.engine.commit(batch).await.map_err(StorageError::from)?;
        Ok(Created {
            uri: self.uri(&row.media_id),
            unused_expires_at: Millis::try_from(row.expires).unwrap_or(Millis::MAX),
        })
    }

    /// Whether the user may upload the file of a URI now.
    pub(crate) async fn check_pending(&self, user_id: &UserId, media_id: &str) -> Result<(), UploadError> {
        let key = (media_id.to_owned(),);
        let snapshot = self.engine.snapshot().await.map_err(StorageError::from)?;
        if let Some(row) = snapshot.get::<media::Media>(&key).await.map_err(StorageError::from)? {
            let own = row.uploader == user_id;
            return Err(if own { UploadError::Uploaded } else { UploadError::Foreign });
        }
        match snapshot.get::<MediaPending>(&key).await.map_err(StorageError::from)? {
            Some(row) if row.expires <= now(&self.env) => Err(UploadError::NotCreated),
            Some(row) if row.creator != user_id => Err(UploadError::Foreign),
            Some(_) => Ok(()),
            None => Err(UploadError::NotCreated),
        }
    }
}
