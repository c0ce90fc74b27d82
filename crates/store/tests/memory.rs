//! The memory engine passes the suite.
#![cfg(feature = "conformance")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use myelin_store::Engine;
use myelin_store::conformance::{Factory, identity};
use myelin_store::memory::MemoryEngine;

struct Memory;

impl Factory for Memory {
    fn fresh(&self) -> Arc<dyn Engine> {
        Arc::new(MemoryEngine::new(&identity()))
    }

    fn reopen(&self, _engine: Arc<dyn Engine>) -> Option<Arc<dyn Engine>> {
        None
    }

    fn scratch(&self) -> PathBuf {
        PathBuf::from("nothing is written here")
    }

    fn restore(&self, _backup: &Path) -> Option<Arc<dyn Engine>> {
        None
    }
}

myelin_store::conformance_suite!(Memory);
