//! The content repository: uploads, downloads and thumbnails (client-server API, "Content repository").
//!
//! A record in the store says what stands behind an `mxc://` URI; the bytes are a blob in a [`BlobStore`], named by
//! what they contain. The order of writes makes it whole at any moment: first a row that counts the records of a
//! blob, then the blob, then the record and its count. A crash in between leaves a row that counts nothing, and the
//! next start frees its blob.

mod arrival;
mod blob;
mod content;
mod download;
mod error;
mod pending;
mod preview;
mod quarantine;
mod remove;
mod stripes;
mod thumbnail;
mod upload;
mod usage;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use myelin_model::{Fence, Shard};
use myelin_runtime::Env;
use myelin_store::Engine;
use ruma::{OwnedMxcUri, OwnedServerName, ServerName};
use tokio::sync::Semaphore;

use crate::arrival::Arrivals;
use crate::content::Contents;
use crate::stripes::Stripes;
use crate::thumbnail::Thumbnails;
use crate::upload::Slots;

pub use arrival::Arrival;
pub use blob::{Blob, BlobError, BlobId, BlobStore, CHUNK, FolderBlobs, MemoryBlobs, Sealed, Staged};
pub use download::File;
pub use error::StorageError;
pub use pending::{CreateError, Created};
pub use preview::{Fetch, FetchError, Fetched, PreviewError, Previews, Sought};
pub use quarantine::About;
pub use thumbnail::{Described, Method, ThumbnailError, Wanted, inspect};
pub use upload::{NewFile, UploadError};
pub use usage::{Quota, Usage};

/// What the operator decides about media.
#[derive(Clone, Debug)]
pub struct Config {
    /// This server's name: the authority of its `mxc://` URIs.
    pub server_name: OwnedServerName,
    /// The largest upload, in bytes (`media.max_upload_size`).
    pub max_upload_size: u64,
    /// What one user may have here (`media.max_user_bytes`, `media.max_user_files`).
    pub quota: Quota,
}

impl Config {
    /// [`Self::max_upload_size`] where the operator says nothing: 50 MiB.
    pub const MAX_UPLOAD_SIZE: u64 = 50 << 20;
}

/// The media service: the only writer of the keyspaces in [`myelin_store::schema::media`] and of the blobs.
pub struct Media {
    engine: Arc<dyn Engine>,
    env: Env,
    config: Config,
    contents: Arc<Contents>,
    thumbnails: Arc<Thumbnails>,
    slots: Arc<Slots>,
    /// By user: one at a time of those steps that count what the user has.
    by_user: Arc<Stripes>,
    arrivals: Arc<Arrivals>,
    /// Whether the last upload found no room: the operator is told once, not with every upload.
    full: AtomicBool,
    /// How many notes of an access may be on their way to the store.
    touches: Arc<Semaphore>,
}

impl Media {
    /// The service over a store of records and one of bytes. Frees the blobs that an earlier process put down and
    /// could not record, or could not free.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn open(
        engine: Arc<dyn Engine>,
        blobs: Arc<dyn BlobStore>,
        env: Env,
        config: Config,
    ) -> Result<Self, StorageError> {
        let contents = Arc::new(Contents::new(Arc::clone(&engine), blobs));
        contents.sweep().await?;
        let thumbnails = Arc::new(Thumbnails::new(Arc::clone(&engine), Arc::clone(&contents), env.clone()));
        Ok(Self {
            engine,
            env,
            config,
            contents,
            thumbnails,
            slots: Arc::default(),
            by_user: Arc::new(Stripes::new()),
            arrivals: Arc::default(),
            full: AtomicBool::new(false),
            touches: Arc::new(Semaphore::new(64)),
        })
    }

    /// The largest upload, in bytes.
    #[must_use]
    pub fn max_upload_size(&self) -> u64 {
        self.config.max_upload_size
    }

    /// Whether media of this authority is kept here, and not on another server.
    #[must_use]
    pub fn is_local(&self, server: &ServerName) -> bool {
        server == self.config.server_name
    }

    fn uri(&self, media_id: &str) -> OwnedMxcUri {
        format!("mxc://{}/{media_id}", self.config.server_name).into()
    }
}

/// The lease under which records of the given name are written.
fn fence(engine: &dyn Engine, name: &str) -> Fence {
    let shard = Shard::of(name);
    Fence { shard, epoch: engine.epoch(shard) }
}

/// Milliseconds since the Unix epoch, as rows hold them.
fn now(env: &Env) -> i64 {
    i64::try_from(env.clock.now()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
