//! The token cache: who recent tokens belong to, in bounded memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use myelin_model::Requester;
use ruma::{OwnedDeviceId, OwnedUserId, UserId};

use crate::session::token::TokenHash;

/// How many tokens one half of the cache holds: some 120 bytes each, and memory is taken only for those in use.
const HALF: usize = 65_536;

/// What is known of a token.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) account: Arc<KnownAccount>,
    pub(crate) device_id: OwnedDeviceId,
    pub(crate) session: i64,
    pub(crate) expires_at: Option<i64>,
}

impl Known {
    /// Who shows it.
    pub(crate) fn requester(&self) -> Requester {
        Requester {
            user_id: self.account.user_id.clone(),
            device_id: Some(self.device_id.clone()),
            is_admin: self.account.is_admin,
            is_suspended: self.account.is_suspended,
            session: self.session,
        }
    }
}

/// What is known of an account that may be used. Its tokens share it.
#[derive(Debug)]
pub(crate) struct KnownAccount {
    pub(crate) user_id: OwnedUserId,
    pub(crate) is_admin: bool,
    pub(crate) is_suspended: bool,
    /// It, its devices or its tokens have changed since. Only looked at by who holds the lock.
    is_forgotten: AtomicBool,
}

impl KnownAccount {
    pub(crate) fn new(user_id: OwnedUserId, is_admin: bool, is_suspended: bool) -> Arc<Self> {
        Arc::new(Self { user_id, is_admin, is_suspended, is_forgotten: AtomicBool::new(false) })
    }
}

/// Shows that an entry was read before any later change of what it says; see [`TokenCache::stamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// Two halves: tokens in use move to the young one, and when that is full it becomes the old one, whose tokens are
/// forgotten at the next turn unless they are used before.
#[derive(Debug)]
pub(crate) struct TokenCache {
    kept: Mutex<Kept>,
    half: usize,
}

#[derive(Debug, Default)]
struct Kept {
    young: HashMap<TokenHash, Known>,
    old: HashMap<TokenHash, Known>,
    /// The accounts of all these, one of each: to forget one of them is to forget its tokens.
    accounts: HashMap<OwnedUserId, Arc<KnownAccount>>,
    forgotten: u64,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new(HALF)
    }
}

impl TokenCache {
    fn new(half: usize) -> Self {
        Self { kept: Mutex::default(), half }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, hash: &TokenHash) -> Option<Known> {
        let mut kept = self.kept();
        if let Some(known) = kept.young.get(hash) {
            return known.is_valid().then(|| known.clone());
        }
        let known = kept.old.remove(hash).filter(Known::is_valid)?;
        self.put(&mut kept, *hash, known.clone());
        Some(known)
    }

    /// An account that one of the tokens is of.
    pub(crate) fn account(&self, user_id: &UserId) -> Option<Arc<KnownAccount>> {
        self.kept().accounts.get(user_id).cloned()
    }

    /// Taken before the store is read for an entry, and given back with it.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp(self.kept().forgotten)
    }

    /// Keeps an entry, unless something was forgotten since the stamp: then it may have been read before the change
    /// that made the cache forget, and would bring an ended session back.
    pub(crate) fn insert(&self, stamp: Stamp, hash: TokenHash, mut known: Known) {
        let mut kept = self.kept();
        if kept.forgotten == stamp.0 {
            let user_id = known.account.user_id.clone();
            known.account = Arc::clone(kept.accounts.entry(user_id).or_insert(known.account));
            self.put(&mut kept, hash, known);
        }
    }

    fn put(&self, kept: &mut Kept, hash: TokenHash, known: Known) {
        if kept.young.len() >= self.half {
            kept.old = std::mem::take(&mut kept.young);
            // Those that no token is of any more; what is put is counted, too.
            kept.accounts.retain(|_, account| Arc::strong_count(account) > 1);
        }
        kept.young.insert(hash, known);
    }

    /// Forgets every token of the user.
    pub(crate) fn forget(&self, user_id: &UserId) {
        let mut kept = self.kept();
        kept.forgotten += 1;
        if let Some(account) = kept.accounts.remove(user_id) {
            account.is_forgotten.store(true, Ordering::Relaxed);
        }
    }
}

impl Known {
    fn is_valid(&self) -> bool {
        !self.account.is_forgotten.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use ruma::{UserId, owned_device_id, user_id};

    use super::{Known, KnownAccount, TokenCache};
    use crate::session::token::TokenHash;

    fn known(user_id: &UserId) -> Known {
        let account = KnownAccount::new(user_id.to_owned(), false, false);
        Known { account, device_id: owned_device_id!("DEVICE"), session: 1, expires_at: None }
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
        cache.insert(stamp, hash(1), known(alice));
        assert!(cache.get(&hash(1)).is_none() && cache.account(alice).is_none());
        cache.insert(cache.stamp(), hash(1), known(alice));
        assert!(cache.get(&hash(1)).is_some() && cache.account(alice).is_some());
    }

    #[test]
    fn forgetting_one_user_leaves_the_others() {
        let cache = TokenCache::new(4);
        let (alice, bob) = (user_id!("@alice:example.org"), user_id!("@bob:example.org"));
        for n in 0..6 {
            let user = if n % 2 == 0 { alice } else { bob };
            cache.insert(cache.stamp(), hash(n), known(user));
        }
        cache.forget(alice);
        assert!((0..6).all(|n| cache.get(&hash(n)).is_some() == (n % 2 == 1)));
        assert!(cache.account(alice).is_none() && cache.account(bob).is_some());
        cache.insert(cache.stamp(), hash(0), known(alice));
        assert!(cache.get(&hash(0)).is_some(), "what is read later is kept");
        assert!(cache.get(&hash(2)).is_none(), "and brings nothing back");
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let cache = TokenCache::new(8);
        let alice = user_id!("@alice:example.org");
        cache.insert(cache.stamp(), hash(0), known(alice));
        for n in 1..1000 {
            let other = UserId::parse(format!("@user{n}:example.org")).unwrap();
            cache.insert(cache.stamp(), hash(n), known(&other));
            assert!(cache.get(&hash(0)).is_some(), "lost after {n}");
        }
        let kept = cache.kept();
        assert!(kept.young.len() <= 8 && kept.old.len() <= 8 && kept.accounts.len() <= 24);
    }
}
