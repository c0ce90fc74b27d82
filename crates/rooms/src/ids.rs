//! Interned ids for new rooms and events.

use std::sync::Arc;

use myelin_model::{EventNid, RoomNid};
use myelin_store::{Engine, IdBlock, reserve_ids};
use tokio::sync::Mutex;

use crate::SendError;

/// How many ids one reservation takes; it costs one commit.
const BLOCK: i64 = 16_384;

/// Hands out interned ids from blocks that it reserves in the store.
///
/// **Invariant.** Ids are taken before a snapshot is, never while one is held: a new block takes a snapshot of its own, and
/// there are only so many. The memory engine refuses that in builds for tests.
pub(crate) struct Ids {
    engine: Arc<dyn Engine>,
    rooms: Mutex<Option<IdBlock>>,
    events: Mutex<Option<IdBlock>>,
}

impl Ids {
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine, rooms: Mutex::new(None), events: Mutex::new(None) }
    }

    /// A number that no other room of this store has.
    pub(crate) async fn room(&self) -> Result<RoomNid, SendError> {
        self.take(&self.rooms, "room").await.map(RoomNid)
    }

    /// A number that no other event of this store has.
    pub(crate) async fn event(&self) -> Result<EventNid, SendError> {
        self.take(&self.events, "event").await.map(EventNid)
    }

    /// So many numbers that no other events of this store have.
    pub(crate) async fn events(&self, count: usize) -> Result<Vec<EventNid>, SendError> {
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            events.push(self.event().await?);
        }
        Ok(events)
    }

    async fn take(&self, block: &Mutex<Option<IdBlock>>, name: &str) -> Result<i64, SendError> {
        let mut block = block.lock().await;
        loop {
            if let Some(id) = block.as_mut().and_then(IdBlock::take) {
                return Ok(id);
            }
            let reserved = reserve_ids(&*self.engine, name, BLOCK).await;
            *block = Some(reserved?);
        }
    }
}
