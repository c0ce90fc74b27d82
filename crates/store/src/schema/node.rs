//! The store's own: whose it is, who writes it, which ids are taken.

use crate::{KeyspaceDef, keyspace};

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
