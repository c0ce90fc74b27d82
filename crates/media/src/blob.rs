//! Where the bytes are: blobs, named by what they contain.
//!
//! A blob's name is the SHA-256 of its bytes, which is known only when the last of them has come. So bytes are
//! *staged* first, then *published* under their name. A store of objects (S3) fits behind the same trait: it
//! stages on the local disk and uploads when it publishes.

mod folder;
mod memory;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

pub use folder::FolderBlobs;
pub use memory::MemoryBlobs;

/// A blob's name: the SHA-256 of its bytes. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId([u8; 32]);

impl BlobId {
    /// The name of the content with this digest.
    #[must_use]
    pub const fn new(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// The name from its stored form, if it has 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The stored form.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }

    /// The digest.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

/// A store of blobs.
pub trait BlobStore: Send + Sync + 'static {
    /// Begins to take bytes in. Nothing of them can be read until they are published.
    fn stage(&self) -> Box<dyn Staged>;

    /// Opens these bytes of a blob, as far as it has them, or answers `None` where there is none.
    fn read(&self, id: BlobId, part: Range<u64>) -> BoxFuture<'_, Result<Option<Blob>, BlobError>>;

    /// Deletes a blob, if it is there. When this returns, it is gone for good. Whoever reads it at the moment may
    /// read on.
    fn remove(&self, id: BlobId) -> BoxFuture<'_, Result<(), BlobError>>;
}

/// Bytes on their way in. Dropped before they are published, they vanish.
pub trait Staged: Send {
    /// Appends bytes.
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Ends the bytes, and answers what they are. Nothing may be written after that.
    fn seal(&mut self) -> BoxFuture<'_, Result<Sealed, BlobError>>;

    /// Makes the sealed bytes durable where they are, still without a name.
    fn sync(&mut self) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Gives the synced bytes their name. When this returns, the blob survives a power cut. A blob of this name
    /// that was there already is replaced by the same bytes, which mends it if the disk had spoilt it.
    fn publish(self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>>;
}

/// What staged bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Their name.
    pub id: BlobId,
    /// How many they are.
    pub size: u64,
}

/// A blob that is being read.
pub struct Blob {
    /// Of all of it, in bytes.
    pub size: u64,
    /// The bytes that were asked for in order, in pieces of at most [`CHUNK`]. Ends early, with an error, where the disk fails.
    pub bytes: BoxStream<'static, Result<Bytes, BlobError>>,
}

/// All bytes of a blob, however many.
pub(crate) const WHOLE: Range<u64> = 0..u64::MAX;

/// How many bytes are read or written at once.
pub const CHUNK: usize = 256 * 1024;

/// Why a blob could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No room on the disk. Nothing was kept; later attempts may succeed.
    #[error("the disk of the media folder is full")]
    Full,
    /// Anything else that kept the disk from doing it.
    #[error("the media folder can't be used")]
    Unavailable(#[source] std::io::Error),
}

impl From<std::io::Error> for BlobError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Unavailable(error),
        }
    }
}

/// An error for a call that comes out of order: a mistake in the calling code.
fn out_of_order(problem: &'static str) -> BlobError {
    BlobError::Unavailable(std::io::Error::other(problem))
}

#[cfg(test)]
mod tests;
