//! Thumbnails: made when first asked for, kept, and made only once however many ask.

mod animation;
mod picture;
mod size;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::future::Shared;
use futures_util::{FutureExt, StreamExt};
use myelin_runtime::Env;
use myelin_store::schema::media::{self, MediaContent, MediaThumbnail};
use myelin_store::{Batch, CommitError, Engine};
use ruma::ServerName;
use tokio::sync::{Semaphore, oneshot};

use crate::blob::{CHUNK, WHOLE};
use crate::content::{Contents, blob_id, key as content_key};
use crate::download::{File, length};
use crate::{Media, StorageError, fence, now};
use picture::{Refusal, Thumbnail};
use size::Size;

pub use picture::{Described, inspect};
pub use size::Wanted;

/// How a picture is fitted into a size (client-server API, "Thumbnails").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// The size is filled, and what stands out is cut off.
    Crop,
    /// All of the picture is kept, and it has the size at most.
    Scale,
}

myelin_store::text_enum!(Method { Crop = "crop", Scale = "scale" });

/// Why there is no thumbnail of a file that exists.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ThumbnailError {
    /// It is no PNG, JPEG, GIF or WebP picture.
    #[error("the file is no picture of a kind that thumbnails are made of")]
    Unsupported,
    /// It can't be decoded.
    #[error("the picture is broken")]
    Broken,
    /// It has too many pixels or bytes.
    #[error("the picture is too large for a thumbnail to be made of it")]
    TooLarge,
    /// Too many thumbnails are being made.
    #[error("too many thumbnails are being made at the moment")]
    Busy,
    /// The source can't be read, or the thumbnail not be stored. Those who wait for one thumbnail share the error.
    #[error("the thumbnail can't be stored or read")]
    Storage(#[source] Arc<StorageError>),
}

impl ThumbnailError {
    fn is_conflict(&self) -> bool {
        let Self::Storage(error) = self else { return false };
        matches!(**error, StorageError::Commit(CommitError::Conflict { .. }))
    }
}

impl<E: Into<StorageError>> From<E> for ThumbnailError {
    fn from(error: E) -> Self {
        Self::Storage(Arc::new(error.into()))
    }
}

impl From<Refusal> for ThumbnailError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unsupported => Self::Unsupported,
            Refusal::Broken => Self::Broken,
            Refusal::TooLarge => Self::TooLarge,
        }
    }
}

/// The largest file a thumbnail is made of, in bytes: all of it is read into memory.
const MAX_SOURCE: u64 = 50 << 20;
/// How many sources are in memory at once.
const SOURCES: usize = 4;
/// How much memory decoding may take at once, in MiB. One picture takes what it needs, up to all of it.
const MEMORY: u32 = 256;
/// How many thumbnails may be under way, waiting ones included.
const UNDER_WAY: usize = 256;
/// How many refusals are remembered, so that nobody keeps the server busy with one bad file.
const REFUSALS: usize = 4096;

type Outcome = Result<File, ThumbnailError>;
/// What those wait for who want the same thumbnail; an error where the job panicked.
type Job = Shared<oneshot::Receiver<Outcome>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    media_id: String,
    size: Size,
    animated: bool,
}

impl Key {
    fn row_key(&self) -> (String, i64, i64, String, bool) {
        let Size { width, height, method } = self.size;
        let method = method.as_str().to_owned();
        (self.media_id.clone(), width.into(), height.into(), method, self.animated)
    }
}

impl Media {
    /// A thumbnail of the file behind `mxc://server/media_id`, at least as large as wanted where the picture is;
    /// `None` where [`Self::lookup`] finds no file. A picture that is small enough is its own thumbnail. Large ones
    /// that move stand still in their thumbnail, unless it is wanted to move and they are not too long.
    ///
    /// # Errors
    /// See [`ThumbnailError`].
    pub async fn thumbnail(
        &self,
        server: &ServerName,
        media_id: &str,
        wanted: Wanted,
    ) -> Result<Option<File>, ThumbnailError> {
        let Some(source) = self.row(server, media_id).await? else { return Ok(None) };
        self.touch(&source);
        let key = Key {
            media_id: source.media_id.clone(),
            size: Size::covering(wanted),
            animated: wanted.animated,
        };
        if source.thumbnails > 0
            && let Some(found) = self.thumbnails.find(&key).await?
        {
            return Ok(Some(found));
        }
        let job = self.thumbnails.join(key, source)?;
        match job.await.unwrap_or_else(|_| Err(StorageError::Abandoned.into())) {
            // It may have been deleted under the job's hands.
            Err(error) if error.is_conflict() && self.row(server, media_id).await?.is_none() => Ok(None),
            outcome => outcome.map(Some),
        }
    }
}

impl Media {
    /// The content type of a picture, which is decoded to see that it is one: whatever this answers for, thumbnails can be
    /// made of.
    ///
    /// # Errors
    /// See [`ThumbnailError`].
    pub async fn picture_type(&self, bytes: Bytes) -> Result<&'static str, ThumbnailError> {
        let kind = picture::sniff(&bytes)?.to_mime_type();
        let thumbnails = &self.thumbnails;
        let _source = thumbnails.sources.acquire().await.map_err(|_| ThumbnailError::Busy)?;
        // Smaller than any picture, so that none is taken for its own thumbnail without being decoded.
        thumbnails.decode(bytes, Size { width: 1, height: 1, method: Method::Crop }, false).await??;
        Ok(kind)
    }
}

pub(crate) struct Thumbnails {
    engine: Arc<dyn Engine>,
    contents: Arc<Contents>,
    env: Env,
    sources: Semaphore,
    memory: Semaphore,
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    under_way: HashMap<Key, Job>,
    refused: HashMap<String, Refusal>,
}

impl Thumbnails {
    pub(crate) fn new(engine: Arc<dyn Engine>, contents: Arc<Contents>, env: Env) -> Self {
        Self {
            engine,
            contents,
            env,
            sources: Semaphore::new(SOURCES),
            memory: Semaphore::new(MEMORY as usize),
            jobs: Mutex::default(),
        }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&self, key: &Key) -> Result<Option<File>, StorageError> {
        let row = self.engine.get_now::<MediaThumbnail>(&key.row_key()).await?;
        row.as_ref().map(file).transpose()
    }

    /// The job that makes this thumbnail: the one under way, or a new one, which goes on when nobody waits any more.
    fn join(self: &Arc<Self>, key: Key, source: media::Media) -> Result<Job, ThumbnailError> {
        let mut jobs = self.jobs();
        if let Some(refusal) = jobs.refused.get(&key.media_id) {
            return Err((*refusal).into());
        }
        if let Some(job) = jobs.under_way.get(&key) {
            return Ok(job.clone());
        }
        if jobs.under_way.len() >= UNDER_WAY {
            return Err(ThumbnailError::Busy);
        }
        let (done, outcome) = oneshot::channel();
        let job = outcome.shared();
        jobs.under_way.insert(key.clone(), job.clone());
        drop(jobs);
        let end = JobEnd { thumbnails: Arc::clone(self), key };
        self.env.tasks.spawn("media.thumbnail", async move {
            let outcome = end.thumbnails.make(&end.key, &source).await;
            drop(end);
            // Nobody listens where everybody hung up.
            drop(done.send(outcome));
        });
        Ok(job)
    }

    async fn make(&self, key: &Key, source: &media::Media) -> Outcome {
        // Whoever came just after the last job ended finds its work here.
        if let Some(found) = self.find(key).await? {
            return Ok(found);
        }
        match self.draw(key, source).await? {
            Ok(thumbnail) => self.keep(key, source, thumbnail).await,
            Err(refusal) => {
                let mut jobs = self.jobs();
                if jobs.refused.len() >= REFUSALS {
                    jobs.refused.clear();
                }
                jobs.refused.insert(source.media_id.clone(), refusal);
                Err(refusal.into())
            }
        }
    }

    async fn draw(
        &self,
        key: &Key,
        source: &media::Media,
    ) -> Result<Result<Thumbnail, Refusal>, ThumbnailError> {
        let _source = self.sources.acquire().await.map_err(|_| ThumbnailError::Busy)?;
        let bytes = match self.load(source).await? {
            Ok(bytes) => bytes,
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.decode(bytes, key.size, key.animated).await
    }

    /// Makes a thumbnail, as soon as there is memory for it.
    async fn decode(
        &self,
        bytes: Bytes,
        size: Size,
        animated: bool,
    ) -> Result<Result<Thumbnail, Refusal>, ThumbnailError> {
        let header = bytes.clone();
        let probe = self.env.cpu.run(move || guarded(|| picture::probe(&header)));
        let probe = match probe.await.map_err(|_| ThumbnailError::Busy)? {
            Ok(probe) => probe,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let moving = if animated { animation::MEMORY } else { 0 };
        let memory = probe.memory.saturating_add(moving);
        let mebibytes = u32::try_from(memory >> 20).unwrap_or(MEMORY).clamp(1, MEMORY);
        let _memory = self.memory.acquire_many(mebibytes).await.map_err(|_| ThumbnailError::Busy)?;
        let drawn = self.env.cpu.run(move || guarded(|| picture::thumbnail(&bytes, size, animated)));
        drawn.await.map_err(|_| ThumbnailError::Busy)
    }

    /// Reads the source, of which the first piece tells whether the rest is worth it.
    async fn load(&self, source: &media::Media) -> Result<Result<Bytes, Refusal>, StorageError> {
        let mut blob = self.contents.read(blob_id(&source.sha256)?, WHOLE).await?;
        let mut bytes = BytesMut::new();
        while let Some(piece) = blob.bytes.next().await {
            let piece = piece?;
            if bytes.is_empty() {
                if let Err(refusal) = picture::sniff(&piece) {
                    return Ok(Err(refusal));
                }
                if blob.size > MAX_SOURCE {
                    return Ok(Err(Refusal::TooLarge));
                }
                if piece.len() as u64 == blob.size {
                    return Ok(Ok(piece));
                }
                bytes.reserve(usize::try_from(blob.size).unwrap_or(CHUNK));
            }
            bytes.extend_from_slice(&piece);
        }
        // An empty file is no picture.
        Ok(if bytes.is_empty() { Err(Refusal::Unsupported) } else { Ok(bytes.freeze()) })
    }

    async fn keep(&self, key: &Key, source: &media::Media, thumbnail: Thumbnail) -> Outcome {
        let (media_id, width, height, method, animated) = key.row_key();
        let mut row = MediaThumbnail {
            media_id,
            width,
            height,
            method,
            animated,
            sha256: source.sha256.clone(),
            size: source.size,
            content_type: String::new(),
            created: now(&self.env),
        };
        let kept = match thumbnail {
            Thumbnail::Source(content_type) => {
                row.content_type = content_type.to_owned();
                let mut batch = Batch::new(fence(&*self.engine, &row.media_id));
                batch.add::<MediaContent>(&content_key(blob_id(&source.sha256)?), "refs", 1);
                record(&mut batch, &row);
                self.engine.commit(batch).await.map(drop).map_err(StorageError::from)
            }
            Thumbnail::Made(bytes, content_type) => {
                row.content_type = content_type.to_owned();
                let mut staged = self.contents.stage();
                staged.write(bytes.into()).await?;
                let sealed = staged.seal().await?;
                row.sha256 = sealed.id.to_bytes();
                row.size = i64::try_from(sealed.size).unwrap_or(i64::MAX);
                self.contents.keep(staged, sealed, |batch| record(batch, &row)).await
            }
        };
        kept?;
        Ok(file(&row)?)
    }
}

/// Adds the row of a thumbnail. The source must still be there: its count of thumbnails tells a deletion that there
/// is one more.
fn record(batch: &mut Batch, row: &MediaThumbnail) {
    batch.insert(row);
    batch.add::<media::Media>(&(row.media_id.clone(),), "thumbnails", 1);
}

fn file(row: &MediaThumbnail) -> Result<File, StorageError> {
    Ok(File {
        blob: blob_id(&row.sha256)?,
        size: length(row.size)?,
        content_type: row.content_type.clone(),
        filename: None,
    })
}

/// Takes the job off the list when it ends, however it ends.
struct JobEnd {
    thumbnails: Arc<Thumbnails>,
    key: Key,
}

impl Drop for JobEnd {
    fn drop(&mut self) {
        self.thumbnails.jobs().under_way.remove(&self.key);
    }
}

/// What a picture is, whatever it is declared as.
pub(crate) fn describe(bytes: &[u8]) -> Result<Described, Refusal> {
    guarded(|| picture::describe(bytes))
}

/// Decoders are large and their input is hostile: a panic in one means that the picture is broken, nothing more. The
/// panic hook has logged it.
fn guarded<T>(work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Refusal::Broken))
}
