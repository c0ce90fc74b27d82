//! The SQLite engine passes the suite, in both modes of durability.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use myelin_store::Engine;
use myelin_store::conformance::{Factory, KEYSPACES, identity};
use myelin_store_sql::{DurabilityMode, SqliteEngine, SqliteOptions};
use tempfile::TempDir;

struct Sqlite {
    folder: TempDir,
    made: AtomicU32,
    options: SqliteOptions,
}

impl Sqlite {
    fn new(durability: DurabilityMode) -> Self {
        let options = SqliteOptions { durability, extra_keyspaces: KEYSPACES, ..SqliteOptions::default() };
        Self { folder: TempDir::new().unwrap(), made: AtomicU32::new(0), options }
    }

    fn open(&self, path: &Path) -> Arc<dyn Engine> {
        Arc::new(SqliteEngine::open(path, &identity(), self.options).unwrap())
    }
}

impl Factory for Sqlite {
    fn fresh(&self) -> Arc<dyn Engine> {
        self.open(&self.scratch())
    }

    fn reopen(&self, engine: Arc<dyn Engine>) -> Option<Arc<dyn Engine>> {
        drop(engine);
        let last = self.made.load(Ordering::Relaxed);
        Some(self.open(&self.folder.path().join(format!("store-{last}"))))
    }

    fn scratch(&self) -> PathBuf {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        self.folder.path().join(format!("store-{number}"))
    }

    fn restore(&self, backup: &Path) -> Option<Arc<dyn Engine>> {
        Some(self.open(backup))
    }
}

mod sync {
    myelin_store::conformance_suite!(super::Sqlite::new(super::DurabilityMode::Sync));
}

mod relaxed {
    myelin_store::conformance_suite!(super::Sqlite::new(super::DurabilityMode::Relaxed));
}
