//! Secrets that the store must be able to give back: sealed with a key that is not in it, so that who reads the store or a
//! backup of it has none of them.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::{Random, Secret};

/// The layout of what is sealed: this byte, the nonce, the ciphertext with its tag.
const LAYOUT: u8 = 1;
/// How many keys are tried.
const MOST_KEYS: usize = 8;

/// A key, 32 random bytes.
pub type SealKey = Secret<[u8; 32]>;

/// Seals with the newest of its keys and opens with any (AES-256-GCM with random nonces). Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    keys: Arc<[LessSafeKey]>,
    random: Random,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Over these keys, the newest first; the older ones open what they sealed. More than eight are not looked at.
    #[must_use]
    pub fn new(keys: &[SealKey], random: Random) -> Self {
        let key = |key: &SealKey| UnboundKey::new(&AES_256_GCM, key.expose()).ok().map(LessSafeKey::new);
        Self { keys: keys.iter().take(MOST_KEYS).filter_map(key).collect(), random }
    }

    /// Seals a secret for one purpose and one owner: it opens for nobody else and for nothing else. Nothing where there is no
    /// key.
    #[must_use]
    pub fn seal(&self, purpose: &str, owner: &str, secret: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = self.random.bytes();
        let mut sealed = secret.to_vec();
        let key = self.keys.first()?;
        let aad = Aad::from(bound(purpose, owner));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        let mut whole = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        whole.push(LAYOUT);
        whole.extend_from_slice(&nonce);
        whole.append(&mut sealed);
        Some(whole)
    }

    /// What was sealed for this purpose and owner; nothing where it was not, or no key is the one that sealed it.
    #[must_use]
    pub fn open(&self, purpose: &str, owner: &str, sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        let (&layout, rest) = sealed.split_first()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().filter(|_| layout == LAYOUT)?;
        self.keys.iter().find_map(|key| {
            let mut sealed = sealed.to_vec();
            let aad = Aad::from(bound(purpose, owner));
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let opened = key.open_in_place(nonce, aad, &mut sealed).ok()?;
            Some(Secret::new(opened.to_vec()))
        })
    }
}

/// What a sealed secret is bound to; no two pairs are written the same.
fn bound(purpose: &str, owner: &str) -> Vec<u8> {
    [&(purpose.len() as u64).to_le_bytes()[..], purpose.as_bytes(), owner.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::Sealer;
    use crate::{Random, Secret};

    fn sealer(keys: &[u8]) -> Sealer {
        let keys: Vec<_> = keys.iter().map(|key| Secret::new([*key; 32])).collect();
        Sealer::new(&keys, Random::from_seed(1))
    }

    #[test]
    fn a_secret_opens_for_its_purpose_and_owner_alone() {
        let sealer = sealer(&[1]);
        let sealed = sealer.seal("totp", "@alice:hs", b"secret").unwrap();
        assert_eq!(sealer.open("totp", "@alice:hs", &sealed).unwrap().expose(), b"secret");
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_ne!(sealer.seal("totp", "@alice:hs", b"secret").unwrap(), sealed);
        assert!(sealer.open("totp", "@bob:hs", &sealed).is_none());
        assert!(sealer.open("other", "@alice:hs", &sealed).is_none());
        assert!(sealer.open("totp@", "alice:hs", &sealed).is_none(), "the two don't run into each other");
    }

    #[test]
    fn what_was_changed_or_cut_does_not_open() {
        let sealer = sealer(&[1]);
        let sealed = sealer.seal("totp", "@alice:hs", b"secret").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open("totp", "@alice:hs", &changed).is_none(), "{at}");
            assert!(sealer.open("totp", "@alice:hs", &sealed[..at]).is_none(), "{at}");
        }
    }

    #[test]
    fn an_older_key_opens_and_the_newest_seals() {
        let old = sealer(&[1]).seal("totp", "@alice:hs", b"secret").unwrap();
        let both = sealer(&[2, 1]);
        assert_eq!(both.open("totp", "@alice:hs", &old).unwrap().expose(), b"secret");
        let new = both.seal("totp", "@alice:hs", b"secret").unwrap();
        assert!(sealer(&[1]).open("totp", "@alice:hs", &new).is_none());
        assert!(sealer(&[2]).open("totp", "@alice:hs", &new).is_some());
        assert!(sealer(&[]).seal("totp", "@alice:hs", b"secret").is_none());
    }
}
