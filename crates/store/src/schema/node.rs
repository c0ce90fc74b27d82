//! The store's own: whose it is, who writes it, which ids are taken.

use crate::{KeyspaceDef, keyspace};

/// The row of [`Meta`] that holds the server name.
pub const SERVER_NAME: &str = "server_name";
/// The row of [`Meta`] that holds [`super::VERSION`] of the release that last changed the layout.
pub const SCHEMA_VERSION: &str = "schema_version";
/// The row of [`Meta`] that a backup has and its source has not. Whoever opens the copy marks all one-time keys as used
/// and deletes the row.
pub const RESTORED: &str = "restored";
/// The row of [`Counter`] from which commits take their positions. Written by the engine alone.
pub const POSITION: &str = "position";

keyspace! {
    /// A fact about the store itself, such as its server name or its schema version.
    pub struct Meta in "meta" {
        key { name: String }
        value { value: String }
        index {}
    }
}

keyspace! {
    /// The lease of a shard: a commit under an older epoch is refused.
    pub struct ShardEpoch in "shard" {
        key { shard: i64 }
        value { epoch: i64 }
        index {}
    }
}

keyspace! {
    /// The next free number under a name; everything below it is taken.
    pub struct Counter in "counter" {
        key { name: String }
        value { next: i64 }
        index {}
    }
}

pub(super) const ALL: &[&KeyspaceDef] =
    &[super::def::<Meta>(), super::def::<ShardEpoch>(), super::def::<Counter>()];
