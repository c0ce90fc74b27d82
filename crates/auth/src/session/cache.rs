//! The token cache: who recent tokens belong to, in bounded memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use myelin_model::Requester;
use ruma::UserId;

use crate::session::token::TokenHash;

/// How many tokens one half of the cache holds.
const HALF: usize = 16_384;

/// What is known of a token.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) requester: Requester,
    pub(crate) expires_at: Option<i64>,
}

/// Shows that an entry was read before any later change of what it says; see [`TokenCache::stamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// Two halves: tokens in use move to the young one, and when that is full it becomes the old one, whose tokens are
/// forgotten at the next turn unless they are used before.
#[derive(Debug)]
pub(crate) struct TokenCache {
    halves: Mutex<Halves>,
    half: usize,
}

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<TokenHash, Known>,
    old: HashMap<TokenHash, Known>,
    forgotten: u64,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new(HALF)
    }
}

impl TokenCache {
    fn new(half: usize) -> Self {
        Self { halves: Mutex::default(), half }
    }

    fn halves(&self) -> std::sync::MutexGuard<'_, Halves> {
        self.halves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, hash: &TokenHash) -> Option<Known> {
        let mut halves = self.halves();
        if let Some(known) = halves.young.get(hash) {
            return Some(known.clone());
        }
        let known = halves.old.remove(hash)?;
        self.put(&mut halves, *hash, known.clone());
        Some(known)
    }

    /// Taken before the store is read for an entry, and given back with it.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.halves().forgotten)
    }

    /// Keeps an entry, unless something was forgotten since the stamp: then it may have been read before the change
    /// that made the cache forget, and would bring an ended session back.
    pub(crate) fn insert(&self, stamp: Stamp, hash: TokenHash, known: Known) {
        let mut halves = self.halves();
        if halves.forgotten == stamp.0 {
            self.put(&mut halves, hash, known);
        }
    }

    fn put(&self, halves: &mut Halves, hash: TokenHash, known: Known) {
        if halves.young.len() >= self.half {
            halves.old = std::mem::take(&mut halves.young);
        }
        halves.young.insert(hash, known);
    }

    /// Forgets every token of the user.
    pub(crate) fn forget(&self, user_id: &UserId) {
        let mut halves = self.halves();
        halves.forgotten += 1;
        halves.young.retain(|_, known| known.requester.user_id != user_id);
        halves.old.retain(|_, known| known.requester.user_id != user_id);
    }
}

#[cfg(test)]
mod tests {
    use myelin_model::Requester;
    use ruma::{OwnedUserId, user_id};

    use super::{Known, TokenCache};
    use crate::session::token::TokenHash;

    fn known(user_id: OwnedUserId) -> Known {
        let requester =
            Requester { user_id, device_id: None, is_admin: false, is_suspended: false, session: 1 };
        Known { requester, expires_at: None }
    }

    fn hash(n: u32) -> TokenHash {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_le_bytes());
        hash
    }

    #[test]
    fn an_entry_read_before_a_change_is_not_kept_after_it() {
        let cache = TokenCache::new(4);
        let alice = user_id!("@alice:example.org");
        let stamp = cache.stamp();
        cache.forget(alice);
        cache.insert(stamp, hash(1), known(alice.to_owned()));
        assert!(cache.get(&hash(1)).is_none());
        cache.insert(cache.stamp(), hash(1), known(alice.to_owned()));
        assert!(cache.get(&hash(1)).is_some());
    }

    #[test]
    fn forgetting_one_user_leaves_the_others() {
        let cache = TokenCache::new(4);
        let (alice, bob) = (user_id!("@alice:example.org"), user_id!("@bob:example.org"));
        for n in 0..6 {
            let user = if n % 2 == 0 { alice } else { bob };
            cache.insert(cache.stamp(), hash(n), known(user.to_owned()));
        }
        cache.forget(alice);
        assert!((0..6).all(|n| cache.get(&hash(n)).is_some() == (n % 2 == 1)));
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let cache = TokenCache::new(8);
        let alice = user_id!("@alice:example.org");
        cache.insert(cache.stamp(), hash(0), known(alice.to_owned()));
        for n in 1..1000 {
            cache.insert(cache.stamp(), hash(n), known(alice.to_owned()));
            assert!(cache.get(&hash(0)).is_some(), "lost after {n}");
        }
        let halves = cache.halves.lock().unwrap();
        assert!(halves.young.len() <= 8 && halves.old.len() <= 8);
    }
}
