//! Randomness as a port.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A source of random bytes, cryptographically strong unless it was made from a seed. Cheap to clone; clones share
/// one stream.
#[derive(Clone)]
pub struct Random {
    rng: Arc<Mutex<StdRng>>,
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    /// A generator (ChaCha12) keyed by the system's entropy.
    #[must_use]
    pub fn from_entropy() -> Self {
        Self::of(rand::make_rng())
    }

    /// A generator that repeats. For tests only: everything it makes can be guessed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self::of(StdRng::seed_from_u64(seed))
    }

    fn of(rng: StdRng) -> Self {
        Self { rng: Arc::new(Mutex::new(rng)) }
    }

    /// Fresh random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }

    /// A number below `end` (0 when `end` is 0), uniform to within 2^-32.
    #[must_use]
    pub fn below(&self, end: u32) -> u32 {
        let wide = u64::from_le_bytes(self.bytes());
        ((u128::from(wide) * u128::from(end)) >> 64) as u32
    }

    /// `len` letters and digits, each carrying 5.95 bits. 22 of them can't be guessed.
    #[must_use]
    pub fn alphanumeric(&self, len: usize) -> String {
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..len).map(|_| char::from(ALPHABET[self.below(62) as usize])).collect()
    }

    /// `len` capital letters, as device ids are written.
    #[must_use]
    pub fn capitals(&self, len: usize) -> String {
        (0..len).map(|_| char::from(b'A' + self.below(26) as u8)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_and_entropy_does_not() {
        assert_eq!(Random::from_seed(7).alphanumeric(30), Random::from_seed(7).alphanumeric(30));
        assert_ne!(Random::from_entropy().alphanumeric(30), Random::from_entropy().alphanumeric(30));
    }

    #[test]
    fn every_letter_occurs_and_nothing_else() {
        let text = Random::from_seed(1).alphanumeric(10_000);
        let mut seen: Vec<char> = text.chars().collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 62);
        assert!(seen.iter().all(char::is_ascii_alphanumeric));
    }
}
