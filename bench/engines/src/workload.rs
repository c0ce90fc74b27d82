//! What the engines are measured with: the batch of a sent message, and rooms to read from.

use bytes::Bytes;
use myelin_model::{EventNid, Fence, Pos, RoomNid, Shard, Topic};
use myelin_store::{Batch, Engine, Keyspace, KeyspaceDef, Scan, keyspace};

keyspace! {
    /// The fixed part of an event.
    pub struct Header in "bench_header" {
        key { event: EventNid }
        value { room: RoomNid, place: i64, pos: Pos, kind: String, sender: String, state_key: Option<String> }
        index { BY_PLACE = "by_place" (room, place), BY_POS = "by_pos" (pos) }
    }
}

keyspace! {
    /// The bytes of an event.
    pub struct Content in "bench_content" {
        key { event: EventNid }
        value { body: Bytes }
        index {}
    }
}

keyspace! {
    /// Which event has an id.
    pub struct Name in "bench_name" {
        key { id: String }
        value { event: EventNid }
        index {}
    }
}

keyspace! {
    /// A room at a glance.
    pub struct Summary in "bench_summary" {
        key { room: RoomNid }
        value { newest: Pos, messages: i64, extremities: Bytes, preview: Bytes }
        index {}
    }
}

keyspace! {
    /// The log of a room.
    pub struct Log in "bench_log" {
        key { room: RoomNid, pos: Pos }
        value { event: EventNid, kind: String, sender: String, body: Bytes }
        index {}
    }
}

pub const KEYSPACES: &[&KeyspaceDef] = &[Header::DEF, Content::DEF, Name::DEF, Summary::DEF, Log::DEF];

/// How many rooms the messages go to.
pub const ROOMS: i64 = 200;

/// The `n`-th message: six rows of 30 to 700 bytes in five keyspaces, 1.6 kB in all.
pub fn message(engine: &dyn Engine, n: i64) -> Batch {
    let room = RoomNid(scramble(n) % ROOMS);
    let shard = Shard::of("bench");
    let mut batch = Batch::new(Fence { shard, epoch: engine.epoch(shard) });
    let pos = batch.next_pos();
    let event = EventNid(n);
    let sender = format!("@user{}:example.org", scramble(n) % 1000);
    let kind = "m.room.encrypted".to_owned();
    batch.put(&Header {
        event,
        room,
        place: n,
        pos,
        kind: kind.clone(),
        sender: sender.clone(),
        state_key: None,
    });
    batch.put(&Content { event, body: noise(n, 700) });
    batch.insert(&Name { id: format!("${:043}", scramble(n)), event });
    batch.put(&Summary {
        room,
        newest: pos,
        messages: n,
        extremities: noise(n, 100),
        preview: noise(n, 150),
    });
    batch.put(&Log { room, pos, event, kind: kind.clone(), sender: sender.clone(), body: noise(n, 100) });
    batch.put(&Log { room: RoomNid(room.0 + ROOMS), pos, event, kind, sender, body: noise(n, 100) });
    batch.wake(Topic::Room(room));
    batch
}

/// The newest hundred messages of a room.
pub fn newest(n: i64) -> Scan {
    Scan::prefix::<Log>((RoomNid(scramble(n) % ROOMS),), 100).backward()
}

/// The message with the largest number.
pub fn last() -> Scan {
    Scan::prefix::<Header>((), 1).backward()
}

/// Everything of a room's log.
pub fn whole_log(room: i64) -> Scan {
    Scan::prefix::<Log>((RoomNid(room),), usize::MAX)
}

/// A positive number without pattern, the same each time.
pub fn scramble(n: i64) -> i64 {
    let mut x = (n as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 1) as i64
}

/// Bytes as ciphertext has them: base64 letters that don't compress by repetition.
fn noise(seed: i64, len: usize) -> Bytes {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = scramble(seed) as u64 | 1;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        LETTERS[(state >> 40) as usize % 64]
    };
    (0..len).map(|_| letter()).collect()
}
