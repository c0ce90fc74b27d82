//! The storage contract.
//!
//! A **keyspace** ([`keyspace!`]) is declared once, with typed columns, a key and indexes; every engine turns the
//! declaration into what suits it: a real table, or an ordered key range. Whoever owns a keyspace writes it through
//! a [`Batch`], which is plain data and becomes durable as a whole or not at all. Everyone reads through a
//! [`Snapshot`], which sees one moment and offers bulk reads only.
//!
//! Engines implement [`Engine`] and [`Snapshot`] and nothing else; `conformance` is the suite they must pass.

mod batch;
mod check;
mod datum;
mod deferred;
mod engine;
mod field;
mod ids;
mod keyspace;
mod planned;
mod read;
mod scan;
pub mod schema;
mod turns;

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod memory;

pub use batch::{Batch, Durability, Expect, Expectation, MAX_BATCH_BYTES, Op};
pub use check::Malformed;
pub use datum::{ColumnType, Datum, Row};
pub use deferred::DeferredSnapshot;
pub use engine::{
    CommitError, CommitNotice, Committed, Engine, Identity, NOTICES, OpenError, ReadError, Snapshot,
};
pub use field::{Field, RowError};
pub use ids::{IdBlock, ReserveError, reserve_ids};
pub use keyspace::{Column, IndexDef, KeyTuple, Keyspace, KeyspaceDef};
pub use planned::Planned;
pub use read::{Reader, decode};
pub use scan::{Direction, Scan};
pub use turns::Turns;
