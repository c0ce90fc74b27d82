//! Passkeys (WebAuthn, level 3): credentials that authenticators keep, with which somebody signs in alone, since the authenticator
//! asks who they are, or shows a second factor.
//!
//! A challenge is not stored: the page carries it, sealed, for five minutes. What is stored is that one was answered, in the
//! commit that acts on the answer, so that each is good once.

mod enrol;
mod manage;
mod sign_in;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use myelin_store::schema::factors::UsedChallenge;
use myelin_store::{Durability, Scan};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::session::token;
use crate::{AccountError, Auth, AuthConfig, StoreError};

pub use self::manage::Passkey;

/// How many passkeys an account has at most.
pub(super) const MOST: usize = 16;
/// How long a challenge is good.
const LIFETIME: Duration = Duration::from_secs(300);

/// Whom passkeys are made for: the host of the public URL.
#[derive(Clone, Debug)]
pub(crate) struct RelyingParty(Webauthn);

impl RelyingParty {
    /// Nothing where no browser makes passkeys for it: its host is an address, or it is reached without TLS.
    pub(crate) fn of(config: &AuthConfig) -> Option<Self> {
        let origin = Url::parse(&config.public_url).ok()?;
        let host = origin.domain()?.to_owned();
        if origin.scheme() != "https" && host != "localhost" {
            return None;
        }
        let builder = WebauthnBuilder::new(&host, &origin).ok()?;
        builder.rp_name(config.called()).timeout(LIFETIME).build().ok().map(Self)
    }
}

/// What a page asks an authenticator.
#[derive(Clone, Debug)]
pub struct PasskeyChallenge {
    /// What the browser's `navigator.credentials` takes, as JSON.
    pub options: String,
    /// The challenge, sealed; it comes back with the answer.
    pub sealed: String,
}

/// Why a passkey is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The challenge has expired, was answered already, or was another's.
    #[error("the challenge is no good any more")]
    Ended,
    /// Nobody has this passkey here, or somebody else than who is asked.
    #[error("the passkey is not known")]
    Unknown,
    /// What the authenticator says does not fit.
    #[error("the answer does not fit")]
    Wrong,
    /// It has counted fewer signatures than before: there may be a copy of it.
    #[error("the passkey may have been copied")]
    Copied,
    /// The account is locked.
    #[error("the account is locked")]
    Locked,
    /// The passkey is known already, of this account or another one.
    #[error("the passkey is known already")]
    Known,
    /// The account has as many as it may.
    #[error("an account has at most 16 passkeys")]
    TooMany,
    /// The account could not be changed.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<StoreError> for PasskeyError {
    fn from(error: StoreError) -> Self {
        Self::Account(error.into())
    }
}

impl From<myelin_store::ReadError> for PasskeyError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Account(error.into())
    }
}

/// A challenge that came back.
struct Asked<S> {
    state: S,
    /// The row that says it was answered.
    used: UsedChallenge,
}

impl Auth {
    /// Whether this server's pages can ask for passkeys.
    #[must_use]
    pub fn offers_passkeys(&self) -> bool {
        self.relying_party.is_some()
    }

    /// Seals what must be known when the answer comes.
    fn seal_challenge(&self, purpose: &str, owner: &str, state: &impl Serialize) -> Option<String> {
        let lifetime = i64::try_from(LIFETIME.as_millis()).unwrap_or(i64::MAX);
        let mut content = self.now().saturating_add(lifetime).to_be_bytes().to_vec();
        content.append(&mut serde_json::to_vec(state).ok()?);
        Some(URL_SAFE_NO_PAD.encode(self.sealer.seal(purpose, owner, &content)?))
    }

    /// What was sealed; nothing where it is too old, or was for somebody or something else.
    fn asked<S: DeserializeOwned>(&self, purpose: &str, owner: &str, sealed: &str) -> Option<Asked<S>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let opened = self.sealer.open(purpose, owner, &bytes)?;
        let (until, state) = opened.expose().split_first_chunk()?;
        let expires_at = i64::from_be_bytes(*until);
        let state = serde_json::from_slice(state).ok()?;
        // Of the bytes: text has more than one way to say the same.
        let hash = Bytes::copy_from_slice(&token::hash(&URL_SAFE_NO_PAD.encode(bytes)));
        (expires_at > self.now()).then_some(Asked { state, used: UsedChallenge { hash, expires_at } })
    }

    /// Forgets answered challenges that have expired.
    pub(crate) async fn prune_challenges(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("used_challenge");
        batch.durability = Durability::MayLag;
        let all = Scan::index::<UsedChallenge>(UsedChallenge::BY_END, (), usize::MAX);
        batch.delete_range(all.up_to((self.now(),)));
        self.engine.commit(batch).await?;
        Ok(())
    }
}
