//! The thread that spares commits what can be done beside them: copying the log back into the file, and in the
//! relaxed mode the fsync that a commit did not wait for.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::lock::beside;
use super::{SqliteOptions, open};

/// How long a lagging fsync waits for company. With the fsync itself it must stay below 100 ms.
const LAG: Duration = Duration::from_millis(40);

/// A handle to the thread.
pub(super) struct Upkeep {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
    log_pages: u32,
}

#[derive(Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Wanted {
    copy: bool,
    sync: bool,
    stop: bool,
    /// No copy begins: the committer is about to start the log over, which SQLite refuses it while another copies.
    held: bool,
    /// A copy is under way.
    copying: bool,
    /// An fsync failed: from now on commits wait for their own.
    failed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn want(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }
}

impl Wanted {
    /// Nothing of it can be done now.
    fn is_idle(&self) -> bool {
        !(self.copy && !self.held || self.sync || self.stop)
    }

    /// What can be done now, which is wanted no more.
    fn take(&mut self) -> Self {
        let taken = Self { copy: self.copy && !self.held, ..*self };
        (self.copy, self.sync, self.copying) = (self.copy && self.held, false, taken.copy);
        taken
    }
}

/// Starts the thread for the store at `path`.
pub(super) fn start(path: &Path, options: &SqliteOptions) -> io::Result<Upkeep> {
    let shared = Arc::new(Shared::default());
    let worker = Worker { path: path.to_owned(), shared: Arc::clone(&shared), connection: None };
    let thread = std::thread::Builder::new().name("store-upkeep".to_owned()).spawn(move || worker.run())?;
    Ok(Upkeep { shared, thread, log_pages: options.log_pages })
}

impl Upkeep {
    /// Says how many pages of the log are not in the file yet.
    pub(super) fn log_grew(&self, pages: i64) {
        if pages >= i64::from(self.log_pages) {
            self.want(|wanted| wanted.copy = true);
        }
    }

    /// Lets no copy begin. One that is under way goes on.
    pub(super) fn hold(&self) -> Hold {
        self.shared.lock().held = true;
        Hold(Arc::clone(&self.shared))
    }

    /// Asks for an fsync of what was just committed.
    pub(super) fn sync_soon(&self) {
        self.want(|wanted| wanted.sync = true);
    }

    /// Whether a lagging fsync has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.shared.lock().failed
    }

    /// Ends the thread after what it is doing and the fsync it owes.
    pub(super) fn stop(self) {
        self.want(|wanted| wanted.stop = true);
        if self.thread.join().is_err() {
            tracing::error!("store.upkeep.panicked");
        }
    }

    fn want(&self, change: impl FnOnce(&mut Wanted)) {
        self.shared.want(change);
    }
}

/// While it exists, no copy begins. There is one at a time.
pub(super) struct Hold(Arc<Shared>);

impl Hold {
    /// Whether the copy that was under way has ended.
    pub(super) fn is_alone(&self) -> bool {
        !self.0.lock().copying
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.want(|wanted| wanted.held = false);
    }
}

struct Worker {
    path: PathBuf,
    shared: Arc<Shared>,
    connection: Option<Connection>,
}

impl Worker {
    fn run(mut self) {
        loop {
            let Wanted { copy, sync, stop, .. } = self.wait();
            if sync {
                self.sync();
            }
            if copy {
                if let Err(error) = self.copy() {
                    tracing::warn!(error = &error as &dyn std::error::Error, "store.log.copy_failed");
                    self.connection = None;
                }
                self.shared.lock().copying = false;
            }
            if stop {
                return;
            }
        }
    }

    /// Waits until something is wanted, and takes it. An fsync waits a little longer, so that it serves many commits.
    fn wait(&self) -> Wanted {
        let wanted = self.shared.changed.wait_while(self.shared.lock(), |wanted| wanted.is_idle());
        let mut wanted = wanted.unwrap_or_else(PoisonError::into_inner);
        if wanted.sync {
            let lag = self.shared.changed.wait_timeout_while(wanted, LAG, |wanted| !wanted.stop);
            wanted = lag.unwrap_or_else(PoisonError::into_inner).0;
        }
        wanted.take()
    }

    /// Opening the log anew each time is cheap, and never holds on to a file that SQLite has replaced.
    fn sync(&self) {
        if let Err(error) = File::open(beside(&self.path, "-wal")).and_then(|log| log.sync_data()) {
            tracing::error!(error = &error as &dyn std::error::Error, "store.sync.failed");
            self.shared.lock().failed = true;
        }
    }

    fn copy(&mut self) -> rusqlite::Result<()> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = open::connect(&self.path, false)?;
                connection.pragma_update(None, "synchronous", "FULL")?;
                connection.pragma_update(None, "cache_size", -64)?;
                connection
            }
        };
        let connection = self.connection.insert(connection);
        connection.wal_checkpoint_v2(Some("main"), CheckpointMode::PASSIVE).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_copy_is_kept_for_later_and_nothing_else_waits_for_it() {
        let mut wanted = Wanted { copy: true, held: true, ..Wanted::default() };
        assert!(wanted.is_idle(), "it does not begin");
        wanted.sync = true;
        let taken = wanted.take();
        assert!(taken.sync && !taken.copy && !wanted.copying);
        wanted.held = false;
        assert!(!wanted.is_idle(), "it was not forgotten");
        assert!(wanted.take().copy && wanted.copying);
    }

    #[test]
    fn a_hold_begins_beside_a_copy_and_ends_by_itself() {
        let shared = Arc::new(Shared::default());
        shared.want(|wanted| *wanted = Wanted { copy: true, ..Wanted::default() });
        shared.lock().take();
        let upkeep = Upkeep { shared: Arc::clone(&shared), thread: std::thread::spawn(|| ()), log_pages: 1 };
        let hold = upkeep.hold();
        assert!(!hold.is_alone());
        upkeep.log_grew(1);
        shared.lock().copying = false;
        assert!(hold.is_alone() && shared.lock().is_idle());
        drop(hold);
        assert!(!shared.lock().is_idle());
        upkeep.stop();
    }
}
