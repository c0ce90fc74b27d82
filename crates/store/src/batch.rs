//! Batches: what one commit writes, as plain data.

use myelin_model::{Fence, Pos, Topic};

use crate::{Datum, KeyTuple, Keyspace, KeyspaceDef, Row, Scan};

/// The largest batch an engine takes, in bytes of keys and values.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// With how many topics a new one is compared.
const TOPICS_COMPARED: usize = 32;

/// How much a power cut may take from this batch when the operator chose `durability = "relaxed"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On disk before the commit is acknowledged, always: key claims, sessions, anything federated.
    #[default]
    Required,
    /// Messages: in the relaxed mode the acknowledgement may come up to 100 ms before the disk.
    MayLag,
}

/// One write.
#[derive(Clone, Debug)]
pub enum Op {
    /// Inserts the row, or replaces the one with its key.
    Put {
        /// Where.
        keyspace: &'static KeyspaceDef,
        /// All columns.
        row: Row,
    },
    /// Deletes one row, if it is there.
    Delete {
        /// Where.
        keyspace: &'static KeyspaceDef,
        /// The key.
        key: Vec<Datum>,
    },
    /// Deletes every row within the scan (its direction and limit don't count).
    DeleteRange(Scan),
    /// Adds to an integer column of an existing row; a missing row is a conflict.
    Add {
        /// Where.
        keyspace: &'static KeyspaceDef,
        /// The key.
        key: Vec<Datum>,
        /// The column's number.
        column: usize,
        /// How much.
        delta: i64,
    },
}

/// What must be so for the batch to be applied.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Where.
    pub keyspace: &'static KeyspaceDef,
    /// The key.
    pub key: Vec<Datum>,
    /// What is expected of the row.
    pub expectation: Expectation,
}

/// An expectation of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// There is no such row.
    Absent,
    /// There is one.
    Present,
    /// There is one, and this column of it holds this value.
    Column(usize, Datum),
}

/// One commit: all of it becomes durable, or nothing.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Under which lease it is written.
    pub fence: Fence,
    /// What must hold. All expectations see the store before this batch (and after those committed before it).
    pub expects: Vec<Expect>,
    /// The writes, applied in order.
    pub ops: Vec<Op>,
    /// How many positions it takes.
    pub positions: u32,
    /// Whom it may wake.
    pub topics: Vec<Topic>,
    /// What a power cut may take from it in the relaxed mode.
    pub durability: Durability,
}

impl Batch {
    /// An empty batch under the given lease.
    #[must_use]
    pub fn new(fence: Fence) -> Self {
        Self {
            fence,
            expects: Vec::new(),
            ops: Vec::new(),
            positions: 0,
            topics: Vec::new(),
            durability: Durability::Required,
        }
    }

    /// Takes the batch's next position, as a placeholder for its rows.
    pub fn next_pos(&mut self) -> Pos {
        let pos = Pos::pending(self.positions);
        self.positions += 1;
        pos
    }

    /// Inserts or replaces a row.
    pub fn put<K: Keyspace>(&mut self, row: &K) {
        self.ops.push(Op::Put { keyspace: K::DEF, row: row.to_row() });
    }

    /// Inserts a row that must not exist yet.
    pub fn insert<K: Keyspace>(&mut self, row: &K) {
        let row = row.to_row();
        let key = K::DEF.key_of(&row).to_vec();
        self.expects.push(Expect { keyspace: K::DEF, key, expectation: Expectation::Absent });
        self.ops.push(Op::Put { keyspace: K::DEF, row });
    }

    /// Deletes a row, if it is there.
    pub fn delete<K: Keyspace>(&mut self, key: &K::Key) {
        self.ops.push(Op::Delete { keyspace: K::DEF, key: key.to_datums() });
    }

    /// Deletes every row within the scan.
    pub fn delete_range(&mut self, scan: Scan) {
        self.ops.push(Op::DeleteRange(scan));
    }

    /// Adds to an integer column of a row that must exist.
    ///
    /// # Panics
    /// When the keyspace has no such column: a mistake in the calling code.
    pub fn add<K: Keyspace>(&mut self, key: &K::Key, column: &str, delta: i64) {
        let column = KeyspaceDef::column_number(K::DEF.columns, column);
        self.ops.push(Op::Add { keyspace: K::DEF, key: key.to_datums(), column, delta });
    }

    /// Expects that there is no row with this key.
    pub fn expect_absent<K: Keyspace>(&mut self, key: &K::Key) {
        self.expect::<K>(key, Expectation::Absent);
    }

    /// Expects that there is a row with this key.
    pub fn expect_present<K: Keyspace>(&mut self, key: &K::Key) {
        self.expect::<K>(key, Expectation::Present);
    }

    /// Expects that a column of the row with this key holds the value.
    ///
    /// # Panics
    /// When the keyspace has no such column: a mistake in the calling code.
    pub fn expect_column<K: Keyspace>(&mut self, key: &K::Key, column: &str, value: &impl crate::Field) {
        let column = KeyspaceDef::column_number(K::DEF.columns, column);
        self.expect::<K>(key, Expectation::Column(column, value.to_datum()));
    }

    fn expect<K: Keyspace>(&mut self, key: &K::Key, expectation: Expectation) {
        self.expects.push(Expect { keyspace: K::DEF, key: key.to_datums(), expectation });
    }

    /// Announces a topic when the batch is committed. One that was announced a while before may be announced again:
    /// batches that wake very many users must not cost the square of that.
    pub fn wake(&mut self, topic: Topic) {
        if !self.topics.iter().rev().take(TOPICS_COMPARED).any(|known| *known == topic) {
            self.topics.push(topic);
        }
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The size that [`MAX_BATCH_BYTES`] limits.
    #[must_use]
    pub fn size(&self) -> usize {
        let sum = |datums: &[Datum]| datums.iter().map(Datum::size).sum::<usize>();
        self.ops
            .iter()
            .map(|op| match op {
                Op::Put { row, .. } => sum(row),
                Op::Delete { key, .. } | Op::Add { key, .. } => sum(key) + 8,
                Op::DeleteRange(scan) => sum(&scan.prefix) + 16,
            })
            .sum()
    }
}
