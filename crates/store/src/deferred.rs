//! A view whose transaction begins with its first read.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use myelin_model::Pos;
use tokio::sync::OnceCell;

use crate::{Datum, Engine, KeyspaceDef, ReadError, Row, Scan, Snapshot};

/// A view at a position that the caller knows to be the newest. Who finds everything in memory never reads the store;
/// who has to read finds the store at that position still, or is refused with [`ReadError::Moved`] at the first read,
/// and begins anew with a true snapshot.
pub struct DeferredSnapshot {
    engine: Arc<dyn Engine>,
    position: Pos,
    begun: OnceCell<Box<dyn Snapshot>>,
}

impl DeferredSnapshot {
    /// A view of the engine's store at the position.
    #[must_use]
    pub fn new(engine: Arc<dyn Engine>, position: Pos) -> Self {
        Self { engine, position, begun: OnceCell::new() }
    }

    async fn begin(&self) -> Result<&dyn Snapshot, ReadError> {
        let begin = async || {
            let snapshot = self.engine.snapshot().await?;
            if snapshot.position() == self.position { Ok(snapshot) } else { Err(ReadError::Moved) }
        };
        Ok(&**self.begun.get_or_try_init(begin).await?)
    }
}

impl Snapshot for DeferredSnapshot {
    fn position(&self) -> Pos {
        self.position
    }

    fn get_many<'s>(
        &'s self,
        keyspace: &'static KeyspaceDef,
        keys: Vec<Vec<Datum>>,
    ) -> BoxFuture<'s, Result<Vec<Option<Row>>, ReadError>> {
        Box::pin(async move { self.begin().await?.get_many(keyspace, keys).await })
    }

    fn scan_many(&self, scans: Vec<Scan>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, ReadError>> {
        Box::pin(async move { self.begin().await?.scan_many(scans).await })
    }
}
