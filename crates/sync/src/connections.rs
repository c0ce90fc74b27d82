//! Connections of sliding sync: in memory, bounded, and written behind.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream::{self, TryStreamExt};
use myelin_model::{Fence, RoomNid, Shard};
use myelin_store::schema::sync::{Connection as StoredRow, ConnectionRoom};
use myelin_store::{
    Batch, CommitError, Durability, Engine, MAX_BATCH_BYTES, ReadError, Reader, Scan, Snapshot,
};
use myelin_sync_core::connection::{Connection, RoomSent};
use myelin_sync_core::rooms::RoomKey;
use ruma::OwnedUserId;
use tokio::sync::watch;

use crate::devices::KeyCounts;
use crate::sliding::request::Extensions;

/// The most connections of one device. The longest unused gives way.
const MOST_PER_DEVICE: usize = 16;
/// The most in memory. The longest unused are written out and dropped.
const MOST: usize = 20_000;
/// The most rooms that the connections in memory remember together, at about 300 bytes each.
const MOST_ROOMS: usize = 1_000_000;
/// A commit of rooms is made when it has so many bytes; one room more still fits.
const BYTES_PER_COMMIT: usize = MAX_BATCH_BYTES / 2;

/// Connections written at the same time: they share the disk's syncs.
const WRITTEN_AT_ONCE: usize = 64;

/// Names a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConnectionId {
    pub(crate) user_id: OwnedUserId,
    /// Empty for a session without a device.
    pub(crate) device_id: String,
    pub(crate) conn_id: String,
}

/// A connection in memory.
pub(crate) struct Live {
    /// Held while an answer is made, never while a request waits.
    pub(crate) state: tokio::sync::Mutex<LiveState>,
    /// Raised by every request that goes on with the connection: an earlier one that still waits gives up.
    pub(crate) turn: watch::Sender<u64>,
    used: AtomicU64,
}

impl Live {
    /// The turn of a request that goes on with the connection. Its state is held meanwhile.
    pub(crate) fn next_turn(&self) -> u64 {
        self.turn.send_modify(|turn| *turn += 1);
        *self.turn.borrow()
    }
}

pub(crate) struct LiveState {
    /// `None` until it was looked for in the store, or made.
    pub(crate) connection: Option<Connection>,
    pub(crate) extensions: Extensions,
    /// The key counts that the client was last told.
    pub(crate) counts: Option<KeyCounts>,
    /// Rooms that the client has and in which typing changed while they were out of its sight: where it was told since,
    /// the answer that it had seen before.
    pub(crate) typing_missed: HashMap<RoomNid, Option<u64>>,
    /// Everything is to be written anew: the connection began again.
    pub(crate) fresh: bool,
    pub(crate) changed: bool,
    pub(crate) used_at: i64,
}

impl LiveState {
    fn new() -> Self {
        Self {
            connection: None,
            extensions: Extensions::default(),
            counts: None,
            typing_missed: HashMap::new(),
            fresh: false,
            changed: false,
            used_at: 0,
        }
    }
}

/// All connections in memory.
#[derive(Default)]
pub(crate) struct Connections {
    /// In order, so that those of a device stand together.
    live: Mutex<BTreeMap<ConnectionId, Arc<Live>>>,
    uses: AtomicU64,
    /// With so many, idle ones are looked for again: where few are idle, not for each that comes.
    sweep_at: AtomicUsize,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections are in memory.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether the connection is in memory.
    pub(crate) fn has(&self, id: &ConnectionId) -> bool {
        self.lock().contains_key(id)
    }

    /// The connection, with a place in memory if it has none.
    pub(crate) fn enter(&self, id: &ConnectionId) -> Arc<Live> {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        let mut all = self.lock();
        if !all.contains_key(id) {
            self.make_room(&mut all, id);
        }
        let live = all.entry(id.clone()).or_insert_with(|| {
            Arc::new(Live {
                state: tokio::sync::Mutex::new(LiveState::new()),
                turn: watch::channel(0).0,
                used: AtomicU64::new(now),
            })
        });
        live.used.store(now, Ordering::Relaxed);
        Arc::clone(live)
    }

    /// Keeps a device within its bound, and all together where enough are idle. A device's connections that are dropped
    /// here were written behind, and are deleted from the store by the next flush of the device; who waits on one gives up.
    fn make_room(&self, all: &mut BTreeMap<ConnectionId, Arc<Live>>, id: &ConnectionId) {
        let first = ConnectionId { conn_id: String::new(), ..id.clone() };
        let same_device =
            |other: &ConnectionId| other.user_id == id.user_id && other.device_id == id.device_id;
        let of_device = || all.range(&first..).take_while(|(other, _)| same_device(other));
        if of_device().count() >= MOST_PER_DEVICE {
            let oldest = of_device().min_by_key(|(_, live)| live.used.load(Ordering::Relaxed));
            let oldest = oldest.map(|(id, _)| id.clone());
            if let Some(dropped) = oldest.and_then(|oldest| all.remove(&oldest)) {
                dropped.next_turn();
            }
        }
        if all.len() >= MOST.max(self.sweep_at.load(Ordering::Relaxed)) {
            drop_idle(all);
            self.sweep_at.store(all.len() + MOST / 16, Ordering::Relaxed);
        }
    }

    /// Those that changed since they were written.
    fn all(&self) -> Vec<(ConnectionId, Arc<Live>)> {
        self.lock().iter().map(|(id, live)| (id.clone(), Arc::clone(live))).collect()
    }

    /// Writes what clients have seen, so that a restart goes on from there. Answers how many connections it wrote.
    pub(crate) async fn flush(&self, engine: &dyn Engine) -> Result<usize, CommitError> {
        let rooms = AtomicUsize::new(0);
        let written = AtomicUsize::new(0);
        let (counted, done) = (&rooms, &written);
        let all = stream::iter(self.all().into_iter().map(Ok));
        let writing = all.try_for_each_concurrent(WRITTEN_AT_ONCE, async |(id, live)| {
            // One that is busy is written next time.
            let Ok(mut state) = live.state.try_lock() else { return Ok(()) };
            counted.fetch_add(state.connection.as_ref().map_or(0, Connection::rooms_len), Ordering::Relaxed);
            if state.changed {
                write(engine, &id, &mut state).await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), CommitError>(())
        });
        writing.await?;
        let (rooms, written) = (rooms.into_inner(), written.into_inner());
        if rooms > MOST_ROOMS {
            drop_idle(&mut self.lock());
        }
        Ok(written)
    }
}

/// Drops the longer unused half of those that no request holds and that are written.
fn drop_idle(all: &mut BTreeMap<ConnectionId, Arc<Live>>) {
    let written = |live: &Arc<Live>| live.state.try_lock().is_ok_and(|state| !state.changed);
    let idle = all.iter().filter(|(_, live)| Arc::strong_count(live) == 1 && written(live));
    let mut idle: Vec<(u64, ConnectionId)> =
        idle.map(|(id, live)| (live.used.load(Ordering::Relaxed), id.clone())).collect();
    idle.sort_unstable();
    let half = idle.len().div_ceil(2);
    for (_, id) in idle.into_iter().take(half) {
        all.remove(&id);
    }
}

/// Writes what the client has seen on a connection.
pub(crate) async fn write(
    engine: &dyn Engine,
    id: &ConnectionId,
    state: &mut LiveState,
) -> Result<(), CommitError> {
    let Some(connection) = &mut state.connection else { return Ok(()) };
    let shard = Shard::of(id.user_id.as_str());
    let new_batch = || {
        let mut batch = Batch::new(Fence { shard, epoch: engine.epoch(shard) });
        batch.durability = Durability::MayLag;
        batch
    };
    let json = |value: serde_json::Result<Vec<u8>>| Bytes::from(value.unwrap_or_default());
    // The connection goes first: rooms refer to what it says was wanted of them. Rooms that are older than it cost a
    // repetition.
    let mut batch = new_batch();
    if state.fresh {
        batch.delete_range(rooms_of(id));
    }
    batch.put(&StoredRow {
        user_id: id.user_id.clone(),
        device_id: id.device_id.clone(),
        conn_id: id.conn_id.clone(),
        state: json(serde_json::to_vec(&connection.to_stored())),
        extensions: json(serde_json::to_vec(&state.extensions)),
        used_at: state.used_at,
    });
    for (room, sent) in connection.unwritten() {
        let Ok(sent) = serde_json::to_vec(sent) else { continue };
        if batch.size() > BYTES_PER_COMMIT {
            engine.commit(std::mem::replace(&mut batch, new_batch())).await?;
        }
        batch.put(&ConnectionRoom {
            user_id: id.user_id.clone(),
            device_id: id.device_id.clone(),
            conn_id: id.conn_id.clone(),
            room: RoomNid(room.0),
            sent: Bytes::from(sent),
        });
    }
    engine.commit(batch).await?;
    connection.was_written();
    state.changed = false;
    if std::mem::take(&mut state.fresh) {
        bound_device(engine, id).await?;
    }
    Ok(())
}

/// Deletes the longest unused stored connections of a device that has too many.
async fn bound_device(engine: &dyn Engine, id: &ConnectionId) -> Result<(), CommitError> {
    let Ok(snapshot) = engine.snapshot().await else { return Ok(()) };
    let scan = Scan::prefix::<StoredRow>((id.user_id.clone(), id.device_id.clone()), 4 * MOST_PER_DEVICE);
    let Ok(mut rows) = snapshot.scan::<StoredRow>(scan).await else { return Ok(()) };
    drop(snapshot);
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.used_at));
    for row in rows.iter().skip(MOST_PER_DEVICE) {
        delete(engine, row).await?;
    }
    Ok(())
}

async fn delete(engine: &dyn Engine, row: &StoredRow) -> Result<(), CommitError> {
    let shard = Shard::of(row.user_id.as_str());
    let mut batch = Batch::new(Fence { shard, epoch: engine.epoch(shard) });
    let key = (row.user_id.clone(), row.device_id.clone(), row.conn_id.clone());
    batch.delete::<StoredRow>(&key);
    batch.delete_range(Scan::prefix::<ConnectionRoom>(key, usize::MAX));
    engine.commit(batch).await?;
    Ok(())
}

fn rooms_of(id: &ConnectionId) -> Scan {
    let key = (id.user_id.clone(), id.device_id.clone(), id.conn_id.clone());
    Scan::prefix::<ConnectionRoom>(key, usize::MAX)
}

/// Whether the connection was ever written.
pub(crate) async fn is_stored(snapshot: &dyn Snapshot, id: &ConnectionId) -> Result<bool, ReadError> {
    let key = (id.user_id.clone(), id.device_id.clone(), id.conn_id.clone());
    Ok(snapshot.get::<StoredRow>(&key).await?.is_some())
}

/// The connection as it was last written, if it was.
pub(crate) async fn restore(
    snapshot: &dyn Snapshot,
    id: &ConnectionId,
) -> Result<Option<(Connection, Extensions)>, ReadError> {
    let key = (id.user_id.clone(), id.device_id.clone(), id.conn_id.clone());
    let Some(row) = snapshot.get::<StoredRow>(&key).await? else { return Ok(None) };
    let Ok(stored) = serde_json::from_slice(&row.state) else { return Ok(None) };
    let rooms = snapshot.scan::<ConnectionRoom>(rooms_of(id)).await?;
    let read = |row: ConnectionRoom| {
        let sent = serde_json::from_slice::<RoomSent>(&row.sent).ok()?;
        Some((RoomKey(row.room.0), sent))
    };
    let rooms = rooms.into_iter().filter_map(read).collect();
    let extensions = serde_json::from_slice(&row.extensions).unwrap_or_default();
    Ok(Some((Connection::restore(stored, rooms), extensions)))
}

/// Deletes connections that no client has used since a time, at most `limit` in one call; answers how many.
pub(crate) async fn expire(engine: &dyn Engine, before: i64, limit: usize) -> Result<usize, CommitError> {
    let Ok(snapshot) = engine.snapshot().await else { return Ok(0) };
    let scan = Scan::index::<StoredRow>(StoredRow::BY_USE, (), limit).before((before,));
    let Ok(rows) = snapshot.scan::<StoredRow>(scan).await else { return Ok(0) };
    drop(snapshot);
    for row in &rows {
        delete(engine, row).await?;
    }
    Ok(rows.len())
}
