//! Tokens: random text with a prefix that tells what it is, known to the store by its hash alone.

use myelin_runtime::{Random, Secret};
use sha2::{Digest, Sha256};

/// The SHA-256 of a token.
pub(crate) type TokenHash = [u8; 32];

/// Random letters and digits in a token: 190 bits.
const RANDOM: usize = 32;
/// Longer than any token this server made.
const MAX_LEN: usize = 64;

/// What a token is for. The prefixes let a scanner of leaked secrets recognise them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Authenticates requests.
    Access,
    /// Renews the access token.
    Refresh,
    /// Tells another service who its user is.
    OpenId,
    /// Logs in, once.
    Login,
    /// Shows that its bearer read a mail.
    Email,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Access => "myelin_at_",
            Self::Refresh => "myelin_rt_",
            Self::OpenId => "myelin_oi_",
            Self::Login => "myelin_lt_",
            Self::Email => "myelin_et_",
        }
    }

    /// Whether the text can be such a token; what can't need not be looked up.
    pub(crate) fn fits(self, token: &str) -> bool {
        token.len() <= MAX_LEN && token.starts_with(self.prefix())
    }
}

/// A new token.
pub(crate) fn mint(random: &Random, kind: Kind) -> Secret<String> {
    Secret::new(format!("{}{}", kind.prefix(), random.alphanumeric(RANDOM)))
}

/// What the store knows of a token.
///
/// A plain hash is enough: there is nothing to guess in 190 random bits.
pub(crate) fn hash(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use myelin_runtime::Random;

    use super::{Kind, MAX_LEN, mint};

    #[test]
    fn a_token_fits_its_own_kind_only_and_never_prints() {
        let random = Random::from_seed(1);
        let (access, refresh) = (mint(&random, Kind::Access), mint(&random, Kind::Refresh));
        assert!(Kind::Access.fits(access.expose()) && !Kind::Refresh.fits(access.expose()));
        assert!(Kind::Refresh.fits(refresh.expose()) && !Kind::Access.fits(refresh.expose()));
        assert_ne!(access, mint(&random, Kind::Access));
        assert!(!format!("{access:?}").contains("myelin_at_"));
        assert!(!Kind::Access.fits(&format!("myelin_at_{}", "x".repeat(MAX_LEN))));
    }
}
