//! Blobs without a disk, to go with the store that has none.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};

use super::{Blob, BlobError, BlobId, BlobStore, CHUNK, Sealed, Staged, out_of_order};

/// Blobs in memory. Clones share them. They end with the process, as the memory engine's rows do.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlobs {
    blobs: Arc<Mutex<HashMap<BlobId, Bytes>>>,
}

impl MemoryBlobs {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many blobs there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BlobId, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlobStore for MemoryBlobs {
    fn stage(&self) -> Box<dyn Staged> {
        Box::new(MemoryStaged { store: self.clone(), bytes: Vec::new(), sealed: None })
    }

    fn read(&self, id: BlobId, part: Range<u64>) -> BoxFuture<'_, Result<Option<Blob>, BlobError>> {
        let found = self.lock().get(&id).cloned();
        let blob = found.map(|bytes| {
            let size = bytes.len() as u64;
            let end = part.end.min(size) as usize;
            let start = part.start.min(size) as usize;
            let cut = move |n: usize| Ok(bytes.slice(n..end.min(n + CHUNK)));
            Blob { size, bytes: stream::iter((start..end).step_by(CHUNK).map(cut)).boxed() }
        });
        Box::pin(ready(Ok(blob)))
    }

    fn remove(&self, id: BlobId) -> BoxFuture<'_, Result<(), BlobError>> {
        self.lock().remove(&id);
        Box::pin(ready(Ok(())))
    }
}

struct MemoryStaged {
    store: MemoryBlobs,
    bytes: Vec<u8>,
    sealed: Option<BlobId>,
}

impl Staged for MemoryStaged {
    fn write(&mut self, chunk: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        self.bytes.extend_from_slice(&chunk);
        Box::pin(ready(Ok(())))
    }

    fn seal(&mut self) -> BoxFuture<'_, Result<Sealed, BlobError>> {
        let id = BlobId::new(Sha256::digest(&self.bytes).into());
        self.sealed = Some(id);
        Box::pin(ready(Ok(Sealed { id, size: self.bytes.len() as u64 })))
    }

    fn sync(&mut self) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(ready(Ok(())))
    }

    fn publish(self: Box<Self>) -> BoxFuture<'static, Result<(), BlobError>> {
        let Some(id) = self.sealed else {
            return Box::pin(ready(Err(out_of_order("bytes are published that were not sealed"))));
        };
        self.store.lock().insert(id, self.bytes.into());
        Box::pin(ready(Ok(())))
    }
}
