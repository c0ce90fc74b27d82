//! A service over the memory engine and a folder that vanishes after the test; and a world that can end.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use futures_util::{StreamExt, TryStreamExt, stream};
use myelin_model::Requester;
use myelin_runtime::{Env, ManualClock};
use myelin_store::memory::{MemoryEngine, Wraps};
use myelin_store::schema::media::{self, MediaContent, MediaThumbnail, MediaUsage};
use myelin_store::{Batch, CommitError, Committed, Engine, Identity, Keyspace, Reader, Scan};
use ruma::{OwnedMxcUri, ServerName, owned_server_name, server_name};
use tempfile::TempDir;

use crate::{
    Blob, BlobError, BlobId, BlobStore, Config, File, FolderBlobs, Media, NewFile, Quota, Sealed, Staged,
    StorageError, UploadError,
};

pub(super) const LIMIT: u64 = 3 << 20;

/// More than most tests need.
pub(super) const QUOTA: Quota = Quota { bytes: Some(50 << 20), files: Some(100) };

pub(super) fn here() -> &'static ServerName {
    server_name!("example.org")
}

pub(super) fn alice() -> Requester {
    Requester {
        user_id: "@alice:example.org".try_into().unwrap(),
        device_id: None,
        is_admin: false,
        is_suspended: false,
        session: 1,
    }
}

pub(super) struct Rig {
    pub(super) folder: TempDir,
    pub(super) engine: MemoryEngine,
    pub(super) fuse: Fuse,
    pub(super) env: Env,
    pub(super) clock: Arc<ManualClock>,
    pub(super) media: Arc<Media>,
}

impl Rig {
    pub(super) async fn new() -> Self {
        let (env, clock) = Env::seeded(7);
        let folder = tempfile::tempdir().unwrap();
        let engine = MemoryEngine::new(&Identity { server_name: here().to_string() });
        let fuse = Fuse::default();
        let media = open(&engine, folder.path(), &env, &fuse).await.unwrap();
        Self { folder, engine, fuse, env, clock, media }
    }

    /// What a new process finds.
    pub(super) async fn restart(&mut self) {
        self.restart_with(Fuse::default()).await;
    }

    /// The same, with an end in sight.
    pub(super) async fn restart_with(&mut self, fuse: Fuse) {
        self.fuse = fuse;
        self.media = open(&self.engine, self.folder.path(), &self.env, &self.fuse).await.unwrap();
    }

    pub(super) async fn upload(&self, bytes: &[u8]) -> Result<String, UploadError> {
        self.upload_as(NewFile::default(), bytes).await
    }

    pub(super) async fn upload_as(&self, file: NewFile, bytes: &[u8]) -> Result<String, UploadError> {
        let uri = self.media.upload(&alice(), file, body(bytes)).await?;
        Ok(media_id(&uri))
    }

    pub(super) async fn download(&self, media_id: &str) -> Option<(File, Vec<u8>)> {
        let file = self.media.lookup(here(), media_id).await.unwrap()?;
        let bytes = self.bytes(&file).await.unwrap();
        Some((file, bytes))
    }

    pub(super) async fn bytes(&self, file: &File) -> Result<Vec<u8>, StorageError> {
        let blob = self.media.read(file).await?;
        assert_eq!(blob.size, file.size);
        let bytes: Vec<Bytes> = blob.bytes.try_collect().await?;
        Ok(bytes.concat())
    }

    pub(super) async fn rows<K: Keyspace>(&self) -> Vec<K> {
        self.engine.snapshot().await.unwrap().scan(Scan::prefix::<K>((), 1000)).await.unwrap()
    }

    /// The files on disk below the folder, staged ones last.
    pub(super) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.folder.path().join("media"), &mut found);
        found.sort();
        found
    }

    /// Waits until what was dropped is off the disk, which happens beside.
    pub(super) async fn settle(&self) {
        while self.files().iter().any(|name| name.len() != 64) {
            tokio::task::yield_now().await;
        }
    }

    /// Every blob is counted rightly by its row, and there is nothing else on the disk.
    pub(super) async fn assert_whole(&self) {
        let mut pointers: Vec<Bytes> = Vec::new();
        pointers.extend(self.rows::<media::Media>().await.into_iter().map(|row| row.sha256));
        pointers.extend(self.rows::<MediaThumbnail>().await.into_iter().map(|row| row.sha256));
        let contents: Vec<MediaContent> = self.rows().await;
        for content in &contents {
            let count = pointers.iter().filter(|sha256| **sha256 == content.sha256).count();
            assert_eq!(content.refs, count as i64);
            assert!(count > 0, "a blob that nothing points at is left");
        }
        assert!(pointers.iter().all(|sha256| contents.iter().any(|content| content.sha256 == sha256)));
        let mut names: Vec<String> =
            contents.iter().map(|content| BlobId::from_bytes(&content.sha256).unwrap().to_string()).collect();
        names.sort();
        assert_eq!(self.files(), names);
        let counted: Vec<media::Media> = self.rows().await;
        for usage in self.rows::<MediaUsage>().await {
            let own = counted.iter().filter(|row| row.counted && row.uploader == usage.user_id);
            let sizes: Vec<i64> = own.map(|row| row.size).collect();
            assert_eq!((usage.files, usage.bytes), (sizes.len() as i64, sizes.iter().sum()));
        }
    }
}

async fn open(
    engine: &MemoryEngine,
    folder: &Path,
    env: &Env,
    fuse: &Fuse,
) -> Result<Arc<Media>, StorageError> {
    let blobs = FolderBlobs::open(folder.join("media"), env.random.clone()).await?;
    let blobs = Arc::new(Mortal { inner: blobs, fuse: fuse.clone() });
    let engine = Arc::new(Mortal { inner: engine.clone(), fuse: fuse.clone() });
    let config =
        Config { server_name: owned_server_name!("example.org"), max_upload_size: LIMIT, quota: QUOTA };
    Ok(Arc::new(Media::open(engine, blobs, env.clone(), config).await?))
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
}

pub(super) fn media_id(uri: &OwnedMxcUri) -> String {
    let (server, media_id) = uri.parts().unwrap();
    assert_eq!(server, here());
    media_id.to_owned()
}

/// A body in pieces of 10,000 bytes.
pub(super) fn body(bytes: &[u8]) -> stream::BoxStream<'static, Result<Bytes, std::io::Error>> {
    let pieces: Vec<Bytes> = bytes.chunks(10_000).map(Bytes::copy_from_slice).collect();
    stream::iter(pieces).map(Ok).boxed()
}

/// When the process dies: after so many writes to store and disk, every further one fails, and so does cleaning up.
#[derive(Clone, Default)]
pub(super) struct Fuse {
    /// Writes left; never set means for ever.
    left: Option<Arc<AtomicI64>>,
    /// How the write at which it dies ends.
    pub(super) end: End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// It is not done.
    #[default]
    Undone,
    /// It is done, and nobody learns of it.
    Unheard,
    /// It is not done, since the disk is full; later ones are.
    Full,
}

enum Fate {
    Done,
    Dead(End),
}

impl Fuse {
    pub(super) fn after(writes: i64, end: End) -> Self {
        Self { left: Some(Arc::new(AtomicI64::new(writes))), end }
    }

    pub(super) fn has_burnt(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.load(Ordering::SeqCst) < 0)
    }

    fn burn(&self) -> Fate {
        let Some(left) = &self.left else { return Fate::Done };
        match left.fetch_sub(1, Ordering::SeqCst) {
            1.. => Fate::Done,
            0 => Fate::Dead(self.end),
            _ if self.end == End::Full => Fate::Done,
            _ => Fate::Dead(End::Undone),
        }
    }
}

/// A store that fails when the fuse has burnt.
struct Mortal<T> {
    inner: T,
    fuse: Fuse,
}

fn died() -> BlobError {
    BlobError::Unavailable(std::io::Error::other("the process died"))
}

/// Runs a write, or what is left of it.
async fn blob_write(fuse: &Fuse, write: BoxFuture<'_, Result<(), BlobError>>) -> Result<(), BlobError> {
    match fuse.burn() {
        Fate::Done => write.await,
        Fate::Dead(End::Undone) => Err(died()),
        Fate::Dead(End::Unheard) => write.await.and(Err(died())),
        Fate::Dead(End::Full) => Err(BlobError::Full),
    }
}

impl BlobStore for Mortal<FolderBlobs> {
    fn stage(&self) -> Box<dyn Staged> {
        Box::new(MortalStaged { inner: self.inner.stage(), fuse: self.fuse.clone() })
    }

    fn read(&self, id: BlobId, part: Range<u64>) -> BoxFuture<'_, Result<Option<Blob>, BlobError>> {
        self.inner.read(id, part)
    }

    fn remove(&self, id: BlobId) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(blob_write(&self.fuse, self.inner.remove(id)))
    }
}

struct MortalStaged {
    inner: Box<dyn Staged>,
    fuse: Fuse,
}

impl Staged for MortalStaged {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(blob_write(&self.fuse, self.inner.write(chunk)))
    }

    fn seal(&mut self) -> BoxFuture<'_, Result<Sealed, BlobError>> {
        self.inner.seal()
    }

    fn sync(&mut self) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(blob_write(&self.fuse, self.inner.sync()))
    }

    fn publish(self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>> {
        let Self { inner, fuse } = *self;
        Box::pin(async move { blob_write(&fuse, inner.publish()).await })
    }
}

impl Wraps for Mortal<MemoryEngine> {
    fn inner(&self) -> &MemoryEngine {
        &self.inner
    }

    fn commit_around(&self, batch: Batch) -> BoxFuture<'_, Result<Committed, CommitError>> {
        let died = || CommitError::Unavailable("the process died".into());
        match self.fuse.burn() {
            Fate::Done => self.inner.commit(batch),
            Fate::Dead(End::Undone) => Box::pin(ready(Err(died()))),
            Fate::Dead(End::Unheard) => {
                Box::pin(async move { self.inner.commit(batch).await.and(Err(died())) })
            }
            Fate::Dead(End::Full) => Box::pin(ready(Err(CommitError::Full))),
        }
    }
}
