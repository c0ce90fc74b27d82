//! Blobs in a folder of the local disk: `ab/cd/abcd...` for the blob whose digest begins so, and `staging/` for bytes
//! that have no name yet.
//!
//! Ours, though `object_store` has a folder too: that one can't name a blob by a digest which is known only at the
//! end without writing and syncing it twice.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use myelin_runtime::Random;
use sha2::{Digest, Sha256};

use super::{Blob, BlobError, BlobId, BlobStore, CHUNK, Sealed, Staged, out_of_order};

/// The folder of bytes without a name, inside the store's.
const STAGING: &str = "staging";

/// Blobs in a folder. One process at a time may use it; the lock of the record store beside it sees to that.
#[derive(Clone)]
pub struct FolderBlobs {
    folder: Arc<Folder>,
}

struct Folder {
    root: PathBuf,
    random: Random,
    /// The fan-out folders that this process has made durable: at most 65,536.
    durable: Mutex<HashSet<[u8; 2]>>,
}

impl FolderBlobs {
    /// Opens the store in `root`, makes it where it is missing, and deletes what an earlier process left staged.
    ///
    /// # Errors
    /// When the folder can't be made, read or written.
    pub async fn open(root: PathBuf, random: Random) -> Result<Self, BlobError> {
        let folder = Arc::new(Folder { root, random, durable: Mutex::default() });
        let opened = Arc::clone(&folder);
        blocking(move || opened.prepare()).await?;
        Ok(Self { folder })
    }
}

impl Folder {
    fn prepare(&self) -> Result<(), BlobError> {
        let staging = self.root.join(STAGING);
        fs::create_dir_all(&staging)?;
        for entry in fs::read_dir(&staging)? {
            remove_file(&entry?.path())?;
        }
        sync_folder(&staging)?;
        sync_folder(&self.root)?;
        match self.root.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent)?,
            _ => sync_folder(Path::new("."))?,
        }
        Ok(())
    }

    fn fan_out(&self, id: BlobId) -> PathBuf {
        let [first, second, ..] = id.digest();
        self.root.join(format!("{first:02x}")).join(format!("{second:02x}"))
    }

    fn path(&self, id: BlobId) -> PathBuf {
        self.fan_out(id).join(id.to_string())
    }

    fn publish(&self, staged: &Path, id: BlobId) -> Result<(), BlobError> {
        let folder = self.fan_out(id);
        let [first, second, ..] = *id.digest();
        let known = |folders: &HashSet<[u8; 2]>| folders.contains(&[first, second]);
        if !known(&self.durable.lock().unwrap_or_else(PoisonError::into_inner)) {
            fs::create_dir_all(&folder)?;
            sync_folder(&self.root)?;
            sync_folder(&self.root.join(format!("{first:02x}")))?;
            self.durable.lock().unwrap_or_else(PoisonError::into_inner).insert([first, second]);
        }
        fs::rename(staged, self.path(id))?;
        sync_folder(&folder)?;
        Ok(())
    }

    fn remove(&self, id: BlobId) -> Result<(), BlobError> {
        if remove_file(&self.path(id))? {
            sync_folder(&self.fan_out(id))?;
        }
        Ok(())
    }

    /// Opens a blob and reads the first piece, which for most is all: one trip off the async threads.
    fn open(&self, id: BlobId, part: &Range<u64>) -> Result<Option<Opened>, BlobError> {
        let mut file = match File::open(self.path(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let size = file.metadata()?.len();
        let end = part.end.min(size);
        if part.start > 0 {
            file.seek(SeekFrom::Start(part.start.min(end)))?;
        }
        let mut rest = Rest { file, left: end.saturating_sub(part.start) };
        Ok(Some(Opened { size, first: rest.take()?, rest }))
    }
}

struct Opened {
    size: u64,
    first: Bytes,
    rest: Rest,
}

struct Rest {
    file: File,
    left: u64,
}

impl Rest {
    fn take(&mut self) -> Result<Bytes, BlobError> {
        let length = self.left.min(CHUNK as u64);
        let mut piece = Vec::with_capacity(length as usize);
        (&self.file).take(length).read_to_end(&mut piece)?;
        if (piece.len() as u64) < length {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "a blob is shorter than it was").into());
        }
        self.left -= length;
        Ok(piece.into())
    }
}

impl BlobStore for FolderBlobs {
    fn stage(&self) -> Box<dyn Staged> {
        let folder = Arc::clone(&self.folder);
        Box::new(FolderStaged {
            folder,
            spool: Stage::Empty,
            waiting: Vec::new(),
            waiting_bytes: 0,
            sealed: None,
        })
    }

    fn read(&self, id: BlobId, part: Range<u64>) -> BoxFuture<'_, Result<Option<Blob>, BlobError>> {
        let folder = Arc::clone(&self.folder);
        Box::pin(async move {
            let Some(Opened { size, first, rest }) = blocking(move || folder.open(id, &part)).await? else {
                return Ok(None);
            };
            let first = (!first.is_empty()).then_some(Ok(first));
            let following = stream::try_unfold(rest, async |mut rest| {
                if rest.left == 0 {
                    return Ok(None);
                }
                blocking(move || rest.take().map(|piece| Some((piece, rest)))).await
            });
            Ok(Some(Blob { size, bytes: stream::iter(first).chain(following).boxed() }))
        })
    }

    fn remove(&self, id: BlobId) -> BoxFuture<'_, Result<(), BlobError>> {
        let folder = Arc::clone(&self.folder);
        Box::pin(blocking(move || folder.remove(id)))
    }
}

/// Bytes on their way into the folder. Small files are written in one trip off the async threads.
struct FolderStaged {
    folder: Arc<Folder>,
    spool: Stage,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    sealed: Option<BlobId>,
}

enum Stage {
    /// No file yet: all that came waits in memory.
    Empty,
    /// A file has the bytes up to those that wait.
    Open(Spool),
    /// A write failed or was abandoned, and the file is gone.
    Lost,
}

/// The file of staged bytes. It vanishes when it is dropped, unless it was published.
struct Spool {
    file: File,
    path: PathBuf,
    hasher: Sha256,
    size: u64,
}

impl Spool {
    fn create(folder: &Folder) -> Result<Self, BlobError> {
        let path = folder.root.join(STAGING).join(folder.random.alphanumeric(22));
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Self { file, path, hasher: Sha256::new(), size: 0 })
    }

    fn append(&mut self, pieces: &[Bytes]) -> Result<(), BlobError> {
        for piece in pieces {
            self.file.write_all(piece)?;
            self.hasher.update(piece);
            self.size += piece.len() as u64;
        }
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = remove_file(&self.path) {
            tracing::warn!(%error, "a staged upload could not be deleted; the next start will do it");
        }
    }
}

impl FolderStaged {
    /// Writes what waits. On failure the file is gone, and with it all that was staged.
    async fn flush(&mut self) -> Result<(), BlobError> {
        let folder = Arc::clone(&self.folder);
        let pieces = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let stage = self.take();
        let spool = blocking(move || {
            let mut spool = match stage {
                Stage::Open(spool) => spool,
                Stage::Empty => Spool::create(&folder)?,
                Stage::Lost => return Err(out_of_order("a staged file is used after it failed")),
            };
            spool.append(&pieces)?;
            Ok(spool)
        });
        self.spool = Stage::Open(spool.await?);
        Ok(())
    }

    /// Takes the file for a step that must end well before there is one again.
    fn take(&mut self) -> Stage {
        std::mem::replace(&mut self.spool, Stage::Lost)
    }
}

impl Staged for FolderStaged {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            if self.sealed.is_some() {
                return Err(out_of_order("bytes are written after the end"));
            }
            self.waiting_bytes += chunk.len();
            self.waiting.push(chunk);
            if self.waiting_bytes >= CHUNK { self.flush().await } else { Ok(()) }
        })
    }

    fn seal(&mut self) -> BoxFuture<'_, Result<Sealed, BlobError>> {
        Box::pin(async move {
            self.flush().await?;
            let Stage::Open(spool) = &self.spool else { return Err(out_of_order("nothing is staged")) };
            let id = BlobId::new(spool.hasher.clone().finalize().into());
            self.sealed = Some(id);
            Ok(Sealed { id, size: spool.size })
        })
    }

    fn sync(&mut self) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            let Stage::Open(spool) = self.take() else { return Err(out_of_order("nothing is staged")) };
            let synced = blocking(move || {
                spool.file.sync_all()?;
                Ok(spool)
            });
            self.spool = Stage::Open(synced.await?);
            Ok(())
        })
    }

    fn publish(mut self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>> {
        let folder = Arc::clone(&self.folder);
        let (spool, sealed) = (self.take(), self.sealed);
        Box::pin(blocking(move || {
            let (Stage::Open(spool), Some(id)) = (spool, sealed) else {
                return Err(out_of_order("bytes are published that were not sealed"));
            };
            folder.publish(&spool.path, id)
        }))
    }
}

impl Drop for FolderStaged {
    fn drop(&mut self) {
        let Stage::Open(spool) = self.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // A large file takes a while to delete; whoever hung up does not wait for it.
            runtime.spawn_blocking(move || drop(spool));
        }
    }
}

/// Deletes a file, and answers whether there was one.
fn remove_file(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Runs file work off the async threads.
async fn blocking<T, W>(work: W) -> Result<T, BlobError>
where
    T: Send + 'static,
    W: FnOnce() -> Result<T, BlobError> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(BlobError::Unavailable(io::Error::other(error))))
}
