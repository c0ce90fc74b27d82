//! What waits for gateways, in memory, and how it is written down.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use myelin_model::{EventNid, Pos};
use myelin_store::schema::notify::{PendingPush, PushCursor};
use myelin_store::{Batch, Reader, Scan};
use ruma::OwnedUserId;
use tokio::sync::Semaphore;

use crate::Notify;

/// How many notifications wait for one pusher. Older ones give way: whoever is behind by more is told by the count.
pub const MAX_QUEUE: usize = 64;
/// How many requests are under way at once.
const MAX_REQUESTS: usize = 64;
/// How many rows one commit writes.
const ROWS: usize = 1_000;
/// The only row of the cursor.
const CURSOR: &str = "log";

/// User, application, key.
pub(crate) type PusherKey = (OwnedUserId, String, String);

/// A notification that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) event: EventNid,
    /// When it was found.
    pub(crate) at: i64,
}

/// The queues of all pushers that have something to send.
pub(crate) struct Queues {
    state: Mutex<State>,
    pub(super) requests: Semaphore,
}

struct State {
    /// By pusher, then position. A pusher is in here while a task serves it.
    waiting: HashMap<PusherKey, BTreeMap<Pos, Waiting>>,
    /// What the store has of it.
    written: HashSet<(PusherKey, Pos)>,
    /// Up to where the log was looked through.
    cursor: Pos,
    /// The cursor that the store has.
    written_cursor: Option<Pos>,
}

impl Default for Queues {
    fn default() -> Self {
        let (waiting, written) = (HashMap::new(), HashSet::new());
        let state = State { waiting, written, cursor: Pos::ZERO, written_cursor: None };
        Self { state: Mutex::new(state), requests: Semaphore::new(MAX_REQUESTS) }
    }
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a notification; answers whether the pusher needs a task now.
    pub(super) fn push(&self, key: &PusherKey, pos: Pos, waiting: Waiting) -> bool {
        let mut state = self.lock();
        let is_new = !state.waiting.contains_key(key);
        let queue = state.waiting.entry(key.clone()).or_default();
        queue.insert(pos, waiting);
        while queue.len() > MAX_QUEUE {
            queue.pop_first();
        }
        is_new
    }

    /// The oldest that waits. Where there is none the pusher needs its task no longer.
    pub(super) fn first(&self, key: &PusherKey) -> Option<(Pos, Waiting)> {
        let mut state = self.lock();
        let first = state.waiting.get(key).and_then(|queue| queue.first_key_value());
        let first = first.map(|(pos, waiting)| (*pos, *waiting));
        if first.is_none() {
            state.waiting.remove(key);
        }
        first
    }

    /// It needs to be sent no more.
    pub(super) fn done(&self, key: &PusherKey, pos: Pos) {
        if let Some(queue) = self.lock().waiting.get_mut(key) {
            queue.remove(&pos);
        }
    }

    /// Leaves only some of what waits for a pusher.
    pub(super) fn keep(&self, key: &PusherKey, wanted: impl Fn(&Waiting) -> bool) {
        if let Some(queue) = self.lock().waiting.get_mut(key) {
            queue.retain(|_, waiting| wanted(waiting));
        }
    }

    pub(super) fn cursor(&self) -> Pos {
        self.lock().cursor
    }

    pub(super) fn advance(&self, cursor: Pos) {
        self.lock().cursor = cursor;
    }

    /// What to write and to delete, and the cursor where the store has another.
    #[allow(clippy::type_complexity, reason = "named where it is taken apart")]
    fn changes(&self) -> (Vec<PendingPush>, Vec<(PusherKey, Pos)>, Option<Pos>) {
        let state = self.lock();
        let mut new = Vec::new();
        for (key, queue) in &state.waiting {
            for (pos, waiting) in queue {
                if !state.written.contains(&(key.clone(), *pos)) {
                    let (user_id, app_id, pushkey) = key.clone();
                    let Waiting { event, at } = *waiting;
                    new.push(PendingPush { user_id, app_id, pushkey, pos: *pos, event, at });
                }
            }
        }
        let waits = |(key, pos): &&(PusherKey, Pos)| {
            state.waiting.get(key).is_some_and(|queue| queue.contains_key(pos))
        };
        let gone = state.written.iter().filter(|written| !waits(written)).cloned().collect();
        let cursor = (state.written_cursor != Some(state.cursor)).then_some(state.cursor);
        (new, gone, cursor)
    }
}

impl Notify {
    /// Takes up what the last process wrote down; answers with the pushers that need a task. A store that never had a
    /// cursor begins at its newest position.
    pub(super) async fn load_queues(&self) -> Result<Vec<PusherKey>, myelin_store::ReadError> {
        let snapshot = self.engine.snapshot().await?;
        let cursor = snapshot.get::<PushCursor>(&(CURSOR.to_owned(),)).await?.map(|row| row.pos);
        {
            let mut state = self.queues.lock();
            state.cursor = cursor.unwrap_or_else(|| snapshot.position());
            state.written_cursor = cursor;
        }
        let mut after: Option<(OwnedUserId, String, String, Pos)> = None;
        let mut keys = Vec::new();
        loop {
            let scan = Scan::prefix::<PendingPush>((), ROWS);
            let scan = match &after {
                Some(last) => scan.after(last.clone()),
                None => scan,
            };
            let rows = snapshot.scan::<PendingPush>(scan).await?;
            let Some(last) = rows.last() else { return Ok(keys) };
            after = Some((last.user_id.clone(), last.app_id.clone(), last.pushkey.clone(), last.pos));
            for PendingPush { user_id, app_id, pushkey, pos, event, at } in rows {
                let key = (user_id, app_id, pushkey);
                if self.queues.push(&key, pos, Waiting { event, at }) {
                    keys.push(key.clone());
                }
                self.queues.lock().written.insert((key, pos));
            }
        }
    }

    /// Writes down what waits, then up to where the log was looked through.
    pub(super) async fn save_queues(&self) -> Result<(), myelin_store::CommitError> {
        let (new, gone, cursor) = self.queues.changes();
        for rows in new.chunks(ROWS) {
            let mut batch = self.service_batch();
            for row in rows {
                batch.put(row);
            }
            self.engine.commit(batch).await?;
            let mut state = self.queues.lock();
            for PendingPush { user_id, app_id, pushkey, pos, .. } in rows {
                let key = (user_id.clone(), app_id.clone(), pushkey.clone());
                state.written.insert((key, *pos));
            }
        }
        if let Some(pos) = cursor {
            let mut batch = self.service_batch();
            batch.put(&PushCursor { name: CURSOR.to_owned(), pos });
            self.engine.commit(batch).await?;
            self.queues.lock().written_cursor = Some(pos);
        }
        for rows in gone.chunks(ROWS) {
            let mut batch = self.service_batch();
            for ((user_id, app_id, pushkey), pos) in rows.iter().cloned() {
                batch.delete::<PendingPush>(&(user_id, app_id, pushkey, pos));
            }
            self.engine.commit(batch).await?;
            let mut state = self.queues.lock();
            for row in rows {
                state.written.remove(row);
            }
        }
        Ok(())
    }

    fn service_batch(&self) -> Batch {
        let shard = myelin_model::Shard::of(CURSOR);
        Batch::new(myelin_model::Fence { shard, epoch: self.engine.epoch(shard) })
    }
}
