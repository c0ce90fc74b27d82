//! The code that a person reads on one device and types on another (RFC 8628, section 6.1).

/// Consonants: no word that anybody minds, and nothing that looks like something else.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// How many letters it has: 34 bits, which is plenty while guesses are limited and it lives for minutes.
const LETTERS: usize = 8;
/// After how many of them a dash is shown.
const GROUP: usize = 4;

/// A user code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserCode(String);

impl UserCode {
    /// A code of random numbers: `below(n)` answers one below `n`.
    #[must_use]
    pub fn random(mut below: impl FnMut(u32) -> u32) -> Self {
        let mut letter = || {
            let number = usize::try_from(below(20)).unwrap_or_default();
            char::from(ALPHABET.get(number).copied().unwrap_or(b'B'))
        };
        Self((0..LETTERS).map(|_| letter()).collect())
    }

    /// Reads what a person typed: in any case, with or without whatever stands between the letters.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        let letters = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(LETTERS + 1);
        let letters: String = letters.map(|c| c.to_ascii_uppercase()).collect();
        let fits = letters.len() == LETTERS && letters.bytes().all(|b| ALPHABET.contains(&b));
        fits.then_some(Self(letters))
    }

    /// The letters alone.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is shown: `WDJB-MJHT`.
    #[must_use]
    pub fn shown(&self) -> String {
        let (first, second) = self.0.split_at_checked(GROUP).unwrap_or((&self.0, ""));
        format!("{first}-{second}")
    }
}

#[cfg(test)]
mod tests {
    use super::UserCode;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = UserCode::parse("WDJB-MJHT").unwrap();
        for typed in ["wdjbmjht", " wdjb mjht ", "WDJB--MJHT", "wdjb\tmjht"] {
            assert_eq!(UserCode::parse(typed).as_ref(), Some(&code), "{typed}");
        }
        assert_eq!(code.shown(), "WDJB-MJHT");
        for typed in ["", "WDJB", "WDJB-MJHTX", "WDJA-MJHT", "1234-5678", "\u{df}DJB-MJHT"] {
            assert!(UserCode::parse(typed).is_none(), "{typed}");
        }
    }

    #[test]
    fn a_random_code_reads_as_itself() {
        let mut n = 0_u32;
        let code = UserCode::random(|end| {
            n += 7;
            n % end
        });
        assert_eq!(UserCode::parse(&code.shown()), Some(code));
    }
}
