//! Taking files in.

use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use myelin_model::{Requester, Shard};
use myelin_store::schema::media::{self, MediaPending, MediaQuarantine};
use myelin_store::{Batch, CommitError};
use ruma::{OwnedMxcUri, OwnedUserId};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::blob::{Sealed, Staged};
use crate::{Media, StorageError, now, usage};

/// What the uploader says about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewFile {
    /// The `Content-Type` header; `application/octet-stream` where there is none. Printable ASCII.
    pub content_type: Option<String>,
    /// The name to offer when somebody saves it.
    pub filename: Option<String>,
    /// The `Content-Length` header, in bytes.
    pub declared_size: Option<u64>,
}

/// Why an upload was refused or failed. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// It is larger than the operator allows.
    #[error("the file is larger than {limit} bytes")]
    TooLarge {
        /// The most that is allowed, in bytes.
        limit: u64,
    },
    /// The user, or the whole server, has too many uploads under way.
    #[error("too many uploads at once")]
    TooMany,
    /// The content type is longer than 255 bytes, or not printable ASCII.
    #[error("the content type is not one")]
    BadContentType,
    /// The file's name is longer than 1 KiB.
    #[error("the file's name is too long")]
    BadFilename,
    /// The body ended before its end.
    #[error("the upload broke off")]
    BrokenOff(#[source] Box<dyn Error + Send + Sync>),
    /// No byte came for [`PATIENCE`].
    #[error("the upload stood still")]
    StoodStill,
    /// The URI was not created here, or has expired.
    #[error("there is no such pending upload")]
    NotCreated,
    /// Somebody else created the URI.
    #[error("the pending upload is somebody else's")]
    Foreign,
    /// The user has as much here as they may.
    #[error("the user's quota is used up")]
    OverQuota,
    /// This content is withheld.
    #[error("this content is quarantined")]
    Quarantined,
    /// The URI has its file already.
    #[error("the file was uploaded already")]
    Uploaded,
    /// It could not be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// How long an upload may stand still.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many uploads a user may have under way.
const PER_USER: usize = 8;
/// How many uploads the server takes at once.
const AT_ONCE: usize = 256;
const MAX_CONTENT_TYPE: usize = 255;
const MAX_FILENAME: usize = 1024;
/// Letters and digits of a media id: 190 bits, since whoever knows it may have the content.
pub(crate) const MEDIA_ID: usize = 32;

impl Media {
    /// Stores a file and answers its `mxc://` URI. When this returns, file and record survive a power cut.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn upload<S, E>(
        &self,
        requester: &Requester,
        file: NewFile,
        body: S,
    ) -> Result<OwnedMxcUri, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Error + Send + Sync + 'static,
    {
        let media_id = self.env.random.alphanumeric(MEDIA_ID);
        let uri = self.uri(&media_id);
        self.take_in(requester, Target::New(media_id), file, body).await?;
        Ok(uri)
    }

    /// Stores the file of a URI that its uploader created with [`Self::create`], and wakes those who wait for it. When
    /// this returns, file and record survive a power cut.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn upload_to<S, E>(
        &self,
        requester: &Requester,
        media_id: &str,
        file: NewFile,
        body: S,
    ) -> Result<(), UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Error + Send + Sync + 'static,
    {
        self.check_pending(&requester.user_id, media_id).await?;
        match self.take_in(requester, Target::Pending(media_id.to_owned()), file, body).await {
            Err(error @ UploadError::Storage(StorageError::Commit(CommitError::Conflict { .. }))) => {
                // Two uploads to one URI: the other was first. Or it has expired, and is gone.
                self.check_pending(&requester.user_id, media_id).await?;
                Err(error)
            }
            result => result,
        }
    }

    async fn take_in<S, E>(
        &self,
        requester: &Requester,
        target: Target,
        file: NewFile,
        body: S,
    ) -> Result<(), UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Error + Send + Sync + 'static,
    {
        let limit = self.config.max_upload_size;
        if file.declared_size.is_some_and(|size| size > limit) {
            return Err(UploadError::TooLarge { limit });
        }
        check(&file)?;
        let slot = self.slots.take(&requester.user_id).ok_or(UploadError::TooMany)?;
        self.open_usage(&requester.user_id).await?;
        if !self.config.quota.is_open() {
            let usage = self.usage(&requester.user_id).await?;
            if !self.config.quota.allows(usage, file.declared_size.unwrap_or(0)) {
                return Err(UploadError::OverQuota);
            }
        }
        let stored = self.store(requester, target, file, body, slot).await;
        match &stored {
            Ok(()) => self.full.store(false, Ordering::Relaxed),
            Err(UploadError::Storage(StorageError::Full)) if !self.full.swap(true, Ordering::Relaxed) => {
                tracing::error!("media.disk.full: uploads fail until there is room again");
            }
            Err(_) => {}
        }
        stored
    }

    async fn store<S, E>(
        &self,
        requester: &Requester,
        target: Target,
        file: NewFile,
        body: S,
        slot: Slot,
    ) -> Result<(), UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Error + Send + Sync + 'static,
    {
        let limit = self.config.max_upload_size;
        let mut staged = self.contents.stage();
        receive(&mut *staged, body, limit).await?;
        let sealed = staged.seal().await.map_err(StorageError::from)?;
        if let Target::Pending(media_id) = &target {
            // It may have expired while the file was on its way.
            self.check_pending(&requester.user_id, media_id).await?;
        }
        if self.is_withheld(&sealed.id.to_bytes()).await? {
            return Err(UploadError::Quarantined);
        }
        let time = now(&self.env);
        let (media_id, is_pending) = target.into_parts();
        let row = media::Media {
            media_id,
            sha256: sealed.id.to_bytes(),
            size: i64::try_from(sealed.size).unwrap_or(i64::MAX),
            content_type: file.content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            filename: file.filename,
            uploader: requester.user_id.clone(),
            created: time,
            last_access: time,
            quarantined: false,
            thumbnails: 0,
            counted: true,
        };
        self.record(staged, sealed, NewRecord { row, is_pending }, slot).await
    }

    /// Keeps the file even if the uploader hangs up now: half of it must not stay.
    async fn record(
        &self,
        staged: Box<dyn Staged>,
        sealed: Sealed,
        new: NewRecord,
        slot: Slot,
    ) -> Result<(), UploadError> {
        let (contents, arrivals) = (Arc::clone(&self.contents), Arc::clone(&self.arrivals));
        let (engine, by_user, quota) =
            (Arc::clone(&self.engine), Arc::clone(&self.by_user), self.config.quota);
        let (done, kept) = oneshot::channel();
        self.env.tasks.spawn("media.keep", async move {
            let keep = async {
                // Where there is a quota, one file of a user at a time is counted.
                let _counted = if quota.is_open() {
                    None
                } else {
                    let turn = by_user.lock(Shard::of(new.row.uploader.as_str()).number()).await;
                    let usage = usage::read(&*engine, &new.row.uploader).await?;
                    if !quota.allows(usage, sealed.size) {
                        return Err(UploadError::OverQuota);
                    }
                    Some(turn)
                };
                Ok(contents.keep(staged, sealed, |batch| new.write(batch)).await?)
            };
            let result = keep.await;
            if new.is_pending && result.is_ok() {
                arrivals.wake(&new.row.media_id);
            }
            drop(slot);
            // Nobody listens where the uploader hung up.
            drop(done.send(result));
        });
        kept.await.unwrap_or(Err(StorageError::Abandoned.into()))
    }
}

/// Under which id a file is stored.
enum Target {
    /// One that nobody knows yet.
    New(String),
    /// One that waits for it.
    Pending(String),
}

impl Target {
    fn into_parts(self) -> (String, bool) {
        match self {
            Self::New(media_id) => (media_id, false),
            Self::Pending(media_id) => (media_id, true),
        }
    }
}

/// What an upload adds to the records.
struct NewRecord {
    row: media::Media,
    /// Whether its id has waited for it.
    is_pending: bool,
}

impl NewRecord {
    fn write(&self, batch: &mut Batch) {
        if self.is_pending {
            let key = (self.row.media_id.clone(),);
            batch.expect_column::<MediaPending>(&key, "creator", &self.row.uploader);
            batch.delete::<MediaPending>(&key);
        }
        batch.expect_absent::<MediaQuarantine>(&(self.row.sha256.clone(),));
        usage::count(batch, &self.row.uploader, 1, self.row.size);
        batch.insert(&self.row);
    }
}

fn check(file: &NewFile) -> Result<(), UploadError> {
    let printable = |text: &str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if file.content_type.as_ref().is_some_and(|text| text.len() > MAX_CONTENT_TYPE || !printable(text)) {
        return Err(UploadError::BadContentType);
    }
    if file.filename.as_ref().is_some_and(|name| name.len() > MAX_FILENAME) {
        return Err(UploadError::BadFilename);
    }
    Ok(())
}

/// Stages the body as it comes. What can't be stored is read to its end all the same: a client that is cut off while it
/// sends never hears why.
async fn receive<S, E>(staged: &mut dyn Staged, mut body: S, limit: u64) -> Result<(), UploadError>
where
    S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
    E: Error + Send + Sync + 'static,
{
    let mut size: u64 = 0;
    let mut stored = Ok(());
    while let Some(chunk) = timeout(PATIENCE, body.next()).await.map_err(|_| UploadError::StoodStill)? {
        let chunk = chunk.map_err(|error| UploadError::BrokenOff(error.into()))?;
        size = size.saturating_add(chunk.len() as u64);
        if size > limit {
            return Err(UploadError::TooLarge { limit });
        }
        if stored.is_ok() {
            stored = staged.write(chunk).await;
        }
    }
    Ok(stored.map_err(StorageError::from)?)
}

/// Who has how many uploads under way.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    taken: Mutex<HashMap<OwnedUserId, usize>>,
}

impl Slots {
    fn take(self: &Arc<Self>, user: &OwnedUserId) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.values().sum::<usize>() >= AT_ONCE {
            return None;
        }
        let own = taken.entry(user.clone()).or_default();
        if *own >= PER_USER {
            return None;
        }
        *own += 1;
        Some(Slot { slots: Arc::clone(self), user: user.clone() })
    }
}

/// One upload under way.
struct Slot {
    slots: Arc<Slots>,
    user: OwnedUserId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.user);
            }
        }
    }
}
