//! The engines that keep keyspaces as SQL tables.
//!
//! Tables, indexes and statements are generated from the declarations ([`myelin_store::schema`]) for a [`Dialect`];
//! nothing here knows a keyspace by name, except the engine's own three (`meta`, `shard`, `counter`).

mod ddl;
mod dialect;
mod range;
pub mod sqlite;
mod statement;

pub use dialect::Dialect;
pub use sqlite::{DurabilityMode, SqliteEngine, SqliteOptions};
