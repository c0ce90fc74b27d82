//! Shards and their fences.

/// How many shards rooms and users hash to. Part of the stored layout: it never changes for an existing store.
pub const SHARDS: u16 = 64;

/// One of the [`SHARDS`] parts that rooms and users are spread over; each has one writer at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u16);

impl Shard {
    /// The shard that the given identifier (a room id, a user id, or a name of the server's own) belongs to.
    ///
    /// FNV-1a: stable across versions and machines, which the standard library's hasher is not.
    #[must_use]
    pub fn of(id: &str) -> Self {
        let hash = id
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self((hash % u64::from(SHARDS)) as u16)
    }

    /// Every shard, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS).map(Self)
    }

    /// The shard's number, below [`SHARDS`].
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The number of a lease on a shard. Whoever takes a shard over raises it, which fences off the previous holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

/// What a batch writes under: the commit is refused unless the shard's epoch still is this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The shard written to.
    pub shard: Shard,
    /// The epoch under which the writer holds it.
    pub epoch: Epoch,
}

#[cfg(test)]
mod tests {
    use super::{SHARDS, Shard};

    #[test]
    fn an_identifier_keeps_its_shard_for_ever() {
        // Literal figures: a change here would orphan every existing store.
        assert_eq!(Shard::of("").number(), 0xcbf2_9ce4_8422_2325_u64 as u16 % SHARDS);
        assert_eq!(Shard::of("@alice:example.org"), Shard::of("@alice:example.org"));
        assert!(Shard::all().all(|s| s.number() < SHARDS));
    }
}
