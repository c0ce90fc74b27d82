//! What clients want of rooms, kept once however many of their requests wait for it: a client says the same again and again,
//! and so do its connections.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use myelin_sync_core::config::RoomConfig;
use rustc_hash::{FxBuildHasher, FxHashMap};

/// How many entries there may be before those that nobody uses are dropped; after that, twice as many as are in use.
const FEWEST_BEFORE_SWEEP: usize = 1024;

/// Wishes in use.
#[derive(Debug, Default)]
pub(crate) struct Wishes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By hash. Of two with one hash the later is kept: the other is not shared any more, and nothing is lost.
    by_hash: FxHashMap<u64, Weak<RoomConfig>>,
    sweep_at: usize,
}

impl Wishes {
    /// The same wish, shared with whoever has it already.
    pub(crate) fn shared(&self, wish: RoomConfig) -> Arc<RoomConfig> {
        let hash = FxBuildHasher.hash_one(&wish);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.by_hash.get(&hash).and_then(Weak::upgrade).filter(|same| **same == wish) {
            return same;
        }
        if known.by_hash.len() >= known.sweep_at.max(FEWEST_BEFORE_SWEEP) {
            known.by_hash.retain(|_, wish| wish.strong_count() > 0);
            known.sweep_at = known.by_hash.len() * 2;
        }
        let wish = Arc::new(wish);
        known.by_hash.insert(hash, Arc::downgrade(&wish));
        wish
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use myelin_sync_core::config::{RequiredState, RoomConfig};

    use super::{FEWEST_BEFORE_SWEEP, Wishes};

    fn wish(limit: u32) -> RoomConfig {
        let required_state = RequiredState::parse([("m.room.name", "")], "@me:x");
        RoomConfig { timeline_limit: limit, required_state }
    }

    #[test]
    fn equal_wishes_are_one_and_those_that_nobody_uses_go() {
        let wishes = Wishes::default();
        let first = wishes.shared(wish(1));
        assert!(Arc::ptr_eq(&first, &wishes.shared(wish(1))));
        assert_eq!(*wishes.shared(wish(2)), wish(2));
        let many = 10 * u32::try_from(FEWEST_BEFORE_SWEEP).unwrap();
        for limit in 3..many {
            drop(wishes.shared(wish(limit)));
        }
        assert!(wishes.0.lock().unwrap().by_hash.len() <= FEWEST_BEFORE_SWEEP);
        assert!(Arc::ptr_eq(&first, &wishes.shared(wish(1))), "one that is in use stays");
    }
}
