//! Recovery codes, for who has lost what makes their other codes: made together, shown once, each good once.

use sha2::{Digest, Sha256};

/// How many there are.
pub const COUNT: usize = 10;
/// Random bytes in one: 80 bits, which nobody guesses even from its hash.
pub const BYTES: usize = 10;
/// Characters in one, five bits each.
const CHARS: usize = 16;
/// How many stand together.
const GROUP: usize = 4;
/// Crockford's base32: none of its characters is taken for another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A recovery code. It prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCode(String);

impl std::fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

impl RecoveryCode {
    /// The code that is made of random bytes.
    #[must_use]
    pub fn of(random: [u8; BYTES]) -> Self {
        let mut bits = random.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        let mut code = String::with_capacity(CHARS);
        for _ in 0..CHARS {
            let character = ALPHABET.get((bits & 31) as usize).copied().unwrap_or_default();
            code.push(char::from(character));
            bits >>= 5;
        }
        Self(code)
    }

    /// Reads one as people write it down and type it: capitals, gaps, hyphens, and letters that look like digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut code = String::with_capacity(CHARS);
        for character in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
            let character = match character.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            };
            let is_known = u8::try_from(character).is_ok_and(|byte| ALPHABET.contains(&byte));
            if !is_known || code.len() == CHARS {
                return None;
            }
            code.push(character);
        }
        (code.len() == CHARS).then_some(Self(code))
    }

    /// As it is shown to be written down.
    #[must_use]
    pub fn shown(&self) -> String {
        let groups: Vec<&str> =
            (0..CHARS).step_by(GROUP).filter_map(|at| self.0.get(at..at + GROUP)).collect();
        groups.join("-")
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"recovery code ").chain_update(self.0.as_bytes()).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{BYTES, COUNT, RecoveryCode};

    #[test]
    fn a_code_is_read_however_it_was_written_down() {
        let code = RecoveryCode::of([0, 1, 2, 3, 40, 50, 60, 70, 80, 255]);
        let shown = code.shown();
        assert_eq!(shown.len(), 19);
        for written in [
            shown.clone(),
            shown.to_uppercase(),
            shown.replace('-', " "),
            shown.replace('-', ""),
            format!("  {shown}\n"),
            shown.replace('0', "O").replace('1', "l"),
        ] {
            assert_eq!(RecoveryCode::parse(&written), Some(code.clone()), "{written}");
        }
        assert!(!format!("{code:?}").contains(&shown));
        assert_eq!(RecoveryCode::parse(&format!("{shown}0")), None);
        assert_eq!(RecoveryCode::parse(&"-".repeat(1_000_000)), None);
    }

    /// What somebody does with their codes.
    #[derive(Clone, Debug)]
    enum Act {
        Use(usize),
        Make(u8),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![4 => (0..COUNT * 2).prop_map(Act::Use), 1 => any::<u8>().prop_map(Act::Make)]
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(random in any::<[u8; BYTES]>(), other in any::<[u8; BYTES]>()) {
            let code = RecoveryCode::of(random);
            prop_assert_eq!(RecoveryCode::parse(&code.shown()), Some(code.clone()));
            prop_assert_eq!(random == other, code.hash() == RecoveryCode::of(other).hash());
        }

        #[test]
        fn nothing_typed_panics(text in ".{0,60}") {
            let _ = RecoveryCode::parse(&text);
        }

        /// The store keeps hashes and takes one away with each use: a code of the present set gets in once, one of an
        /// earlier set never.
        #[test]
        fn each_is_good_once_until_new_ones_are_made(acts in proptest::collection::vec(act(), 1..60)) {
            let set = |seed: u8| -> Vec<RecoveryCode> {
                (0..COUNT as u8).map(|n| RecoveryCode::of([seed, n, 0, 0, 0, 0, 0, 0, 0, 1])).collect()
            };
            let (mut seed, mut before) = (0, set(255));
            let mut known = set(seed);
            let mut kept: BTreeSet<[u8; 32]> = known.iter().map(RecoveryCode::hash).collect();
            let mut used = BTreeSet::new();
            for act in acts {
                match act {
                    Act::Make(next) if next != seed && next != 255 => {
                        before = known;
                        seed = next;
                        known = set(seed);
                        kept = known.iter().map(RecoveryCode::hash).collect();
                        used.clear();
                    }
                    Act::Make(_) => {}
                    Act::Use(number) => {
                        let is_present = number < COUNT;
                        let code = if is_present { &known[number] } else { &before[number - COUNT] };
                        let taken = kept.remove(&code.hash());
                        prop_assert_eq!(taken, is_present && used.insert(number));
                    }
                }
            }
        }
    }
}
