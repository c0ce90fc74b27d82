//! Copies of the store while it is in use.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use myelin_store::ReadError;
use myelin_store::schema::node;
use tokio::sync::oneshot;

use super::lock::beside;
use super::open;

/// Writes a copy of the store at `path` to `target`, which must not exist, on a thread of its own.
pub(super) async fn run(path: PathBuf, target: PathBuf) -> Result<(), ReadError> {
    let (done, copied) = oneshot::channel();
    let copy = move || {
        // Whoever asked may be gone.
        let _unheard = done.send(copy(&path, &target));
    };
    let unavailable = |error: BackupError| ReadError::Unavailable(Box::new(error));
    std::thread::Builder::new()
        .name("store-backup".to_owned())
        .spawn(copy)
        .map_err(|error| unavailable(error.into()))?;
    copied.await.map_err(|_| ReadError::Closed)?.map_err(unavailable)
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
enum BackupError {
    #[error("there is something at {0} already")]
    Exists(PathBuf),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// The copy gets its name when it is whole and on disk; one that was interrupted never looks like a backup.
fn copy(path: &Path, target: &Path) -> Result<(), BackupError> {
    if target.try_exists()? {
        return Err(BackupError::Exists(target.to_owned()));
    }
    let partial = beside(target, ".partial");
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let written = write(path, &partial).and_then(|()| {
        fs::rename(&partial, target)?;
        Ok(open::sync_folder(target)?)
    });
    if written.is_err() {
        // The error to report is the first one.
        drop(fs::remove_file(&partial));
    }
    written
}

/// One read transaction, so that the copy is one moment; it is written compactly, without unused pages.
fn write(path: &Path, partial: &Path) -> Result<(), BackupError> {
    let source = open::connect(path, false)?;
    source.execute("VACUUM INTO ?1", [partial.to_string_lossy()])?;
    drop(source);
    let copy = open::connect(partial, false)?;
    open::set_meta(&copy, node::RESTORED, "this is a copy of the store")?;
    drop(copy);
    Ok(File::open(partial)?.sync_all()?)
}
