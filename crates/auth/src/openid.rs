//! OpenID tokens (client-server API, "OpenID"): by them users prove to other services who they are, and nothing else.

use std::time::Duration;

use bytes::Bytes;
use myelin_model::Requester;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{Account, OpenIdToken};
use myelin_store::{Durability, Reader, Scan};
use ruma::{OwnedUserId, UserId};

use crate::session::token::{Kind, hash, mint};
use crate::{Auth, StoreError};

/// How long a token is good for.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// How many tokens of one user are good at once. With another one, the one that expires first is good no more.
const MOST_TOKENS: usize = 64;

/// How many of a user's tokens one request deletes at most.
const MOST_DELETED: usize = 16;

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdError {
    /// For somebody else.
    #[error("an OpenID token can be had for oneself only")]
    NotYours,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A token that was made.
#[derive(Debug)]
pub struct OpenId {
    /// The token.
    pub token: Secret<String>,
    /// How long it is good for.
    pub lifetime: Duration,
}

impl Auth {
    /// Makes an OpenID token.
    ///
    /// # Errors
    /// See [`OpenIdError`].
    pub async fn openid_token(&self, requester: &Requester, user_id: &UserId) -> Result<OpenId, OpenIdError> {
        if requester.user_id != user_id {
            return Err(OpenIdError::NotYours);
        }
        let token = mint(&self.env.random, Kind::OpenId);
        let lifetime = i64::try_from(LIFETIME.as_millis()).unwrap_or(i64::MAX);
        let scan = Scan::index::<OpenIdToken>(
            OpenIdToken::BY_USER,
            (user_id.to_owned(),),
            MOST_TOKENS + MOST_DELETED,
        );
        let snapshot = self.engine.snapshot().await.map_err(StoreError::from)?;
        let held = snapshot.scan::<OpenIdToken>(scan).await.map_err(StoreError::from)?;
        drop(snapshot);
        let mut batch = self.batch(user_id.as_str());
        let surplus = (held.len() + 1).saturating_sub(MOST_TOKENS);
        for oldest in held.into_iter().take(surplus) {
            batch.delete::<OpenIdToken>(&(oldest.hash,));
        }
        batch.put(&OpenIdToken {
            hash: Bytes::copy_from_slice(&hash(token.expose())),
            user_id: user_id.to_owned(),
            expires_at: self.now().saturating_add(lifetime),
            scope: None,
        });
        self.engine.commit(batch).await.map_err(StoreError::from)?;
        Ok(OpenId { token, lifetime: LIFETIME })
    }

    /// Whose OpenID token it is; nobody's where it is unknown, has expired, or its account can't be used.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn openid_user(&self, token: &str) -> Result<Option<OwnedUserId>, StoreError> {
        if !Kind::OpenId.fits(token) {
            return Ok(None);
        }
        let snapshot = self.engine.snapshot().await?;
        let key = (Bytes::copy_from_slice(&hash(token)),);
        let found = snapshot.get::<OpenIdToken>(&key).await?;
        let Some(row) = found.filter(|row| row.expires_at > self.now()) else { return Ok(None) };
        let account = snapshot.get::<Account>(&(row.user_id.clone(),)).await?;
        let is_usable = |account: &Account| account.deactivated_at.is_none() && account.locked_at.is_none();
        Ok(account.filter(is_usable).map(|_| row.user_id))
    }

    /// Forgets tokens that have expired.
    pub(crate) async fn prune_openid(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("openid_token");
        batch.durability = Durability::MayLag;
        let all = Scan::index::<OpenIdToken>(OpenIdToken::BY_EXPIRY, (), usize::MAX);
        batch.delete_range(all.before((self.now(),)));
        self.engine.commit(batch).await?;
        Ok(())
    }
}
