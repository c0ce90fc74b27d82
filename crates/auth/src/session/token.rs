//! Tokens: random text with a prefix that tells what it is, known to the store by its hash alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use myelin_runtime::{Random, Secret};
use sha2::{Digest, Sha256};

/// The SHA-256 of a token.
pub(crate) type TokenHash = [u8; 32];

/// Random letters and digits in a token: 190 bits.
const RANDOM: usize = 32;
/// Characters in the mark of a grant: 96 bits in base64.
const MARK: usize = 16;
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
    /// Is redeemed for the tokens of a session, once (OAuth 2.0).
    Code,
    /// The same, when its user has approved elsewhere (OAuth 2.0).
    DeviceCode,
    /// Tells whose browser it is.
    Browser,
    /// Makes an account, once.
    Invitation,
    /// Tells that somebody has signed in in a browser before.
    Known,
}

impl Kind {
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Access => "myelin_at_",
            Self::Refresh => "myelin_rt_",
            Self::OpenId => "myelin_oi_",
            Self::Login => "myelin_lt_",
            Self::Email => "myelin_et_",
            Self::Code => "myelin_ac_",
            Self::DeviceCode => "myelin_dc_",
            Self::Browser => "myelin_bs_",
            Self::Invitation => "myelin_in_",
            Self::Known => "myelin_kb_",
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

/// The mark that the refresh tokens of one grant bear, made of the code that it came of: 96 bits that only who holds, or
/// held, a token of the grant knows.
pub(crate) fn mark(code: &str) -> String {
    let digest = Sha256::new().chain_update(b"refresh tokens of ").chain_update(code).finalize();
    let mut mark = URL_SAFE_NO_PAD.encode(digest);
    mark.truncate(MARK);
    mark
}

/// A new refresh token that bears a mark.
pub(crate) fn mint_marked(random: &Random, mark: &str) -> Secret<String> {
    Secret::new(format!("{}{mark}{}", Kind::Refresh.prefix(), random.alphanumeric(RANDOM)))
}

/// The mark of a refresh token, if it bears one.
pub(crate) fn mark_of(token: &str) -> Option<&str> {
    let rest = token.strip_prefix(Kind::Refresh.prefix())?;
    if rest.len() == MARK + RANDOM { rest.get(..MARK) } else { None }
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

    use super::{Kind, MAX_LEN, mark, mark_of, mint, mint_marked};

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
    #[test]
    fn every_refresh_token_of_a_grant_bears_its_mark_and_no_other_does() {
        let random = Random::from_seed(1);
        let (own, other) = (mark("a code"), mark("another"));
        assert_ne!(own, other);
        let (first, second) = (mint_marked(&random, &own), mint_marked(&random, &own));
        assert_ne!(first, second);
        assert!(Kind::Refresh.fits(first.expose()));
        assert_eq!((mark_of(first.expose()), mark_of(second.expose())), (Some(&*own), Some(&*own)));
        assert_eq!(mark_of(mint(&random, Kind::Refresh).expose()), None);
        assert_eq!(mark_of(&format!("myelin_rt_a{}b", "\u{e9}".repeat(23))), None);
    }
}
