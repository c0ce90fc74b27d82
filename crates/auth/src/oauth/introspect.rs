//! What a trusted service may know of a token (RFC 7662).

use bytes::Bytes;
use myelin_oauth_core::scope::Scope;
use myelin_store::Reader;
use myelin_store::schema::auth::{AccessToken, RefreshToken};
use myelin_store::schema::oauth::OauthGrant;
use ruma::{DeviceId, OwnedDeviceId, OwnedUserId};
use subtle::ConstantTimeEq;

use crate::session::authenticate::{Holder, holder};
use crate::session::token::{self, Kind};
use crate::{Auth, AuthenticateError, StoreError};

/// A token that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introspection {
    /// Whose session it is of.
    pub user_id: OwnedUserId,
    /// Its device.
    pub device_id: OwnedDeviceId,
    /// The client, where the session was opened by OAuth 2.0.
    pub client_id: Option<String>,
    /// What is granted.
    pub scope: String,
    /// Until when it is good, in milliseconds since the Unix epoch; `None`: until it is revoked.
    pub expires_at: Option<i64>,
    /// `access_token` or `refresh_token`.
    pub token_type: &'static str,
}

impl Auth {
    /// Whether this is the secret of services that may ask about tokens.
    #[must_use]
    pub fn may_introspect(&self, secret: &str) -> bool {
        let own = self.config.oauth.introspection_secret.as_ref();
        // Of hashes, so that not even the length shows.
        own.is_some_and(|own| bool::from(token::hash(own.expose()).ct_eq(&token::hash(secret))))
    }

    /// What there is to say of a token; nothing of one that is not good. An access token counts as used.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn introspect(&self, token: &str) -> Result<Option<Introspection>, StoreError> {
        let key = (Bytes::copy_from_slice(&token::hash(token)),);
        if Kind::Access.fits(token) {
            let requester = match self.authenticate(token).await {
                Ok(requester) => requester,
                Err(AuthenticateError::Store(error)) => return Err(error),
                Err(_) => return Ok(None),
            };
            let Some(device_id) = requester.device_id else { return Ok(None) };
            let row = self.engine.get_now::<AccessToken>(&key).await?;
            let Some(row) = row else { return Ok(None) };
            return self.told(requester.user_id, device_id, row.expires_at, "access_token").await.map(Some);
        }
        if Kind::Refresh.fits(token) {
            let snapshot = self.engine.snapshot().await?;
            let Some(row) = snapshot.get::<RefreshToken>(&key).await? else { return Ok(None) };
            let holder = holder(&*snapshot, &row.user_id, &row.device_id, row.session).await?;
            drop(snapshot);
            let is_good = |holder: &Holder| {
                holder.account.locked_at.is_none() && row.generation >= holder.device.generation
            };
            if holder.as_ref().is_some_and(is_good) {
                return self.told(row.user_id, row.device_id, None, "refresh_token").await.map(Some);
            }
        }
        Ok(None)
    }

    async fn told(
        &self,
        user_id: OwnedUserId,
        device_id: OwnedDeviceId,
        expires_at: Option<i64>,
        token_type: &'static str,
    ) -> Result<Introspection, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        let grant = snapshot.get::<OauthGrant>(&(user_id.clone(), device_id.clone())).await?;
        let (client_id, scope) = grant.map(|grant| (grant.client_id, grant.scope)).unzip();
        let scope = scope.unwrap_or_else(|| legacy_scope(&device_id));
        Ok(Introspection { user_id, device_id, client_id, scope, expires_at, token_type })
    }
}

/// What a session of the legacy API may do: the same. Its device id is whatever its client chose, and one that would say more
/// than a device is left out.
fn legacy_scope(device_id: &DeviceId) -> String {
    let scope = format!("{API} urn:matrix:client:device:{device_id}");
    let says_so = |read: &Scope| read.as_str() == scope && read.device_id() == device_id.as_str();
    if Scope::parse(&scope).is_ok_and(|read| says_so(&read)) { scope } else { API.to_owned() }
}

/// The scope of the whole client-server API.
const API: &str = "urn:matrix:client:api:*";

#[cfg(test)]
mod tests {
    use super::{API, legacy_scope};

    #[test]
    fn a_device_id_says_nothing_but_a_device() {
        assert_eq!(legacy_scope("ABCDEFGHIJ".into()), format!("{API} urn:matrix:client:device:ABCDEFGHIJ"));
        for said in ["X urn:synapse:admin:*", "A\tB", "", "\u{fc}"] {
            assert_eq!(legacy_scope(said.into()), API, "{said:?}");
        }
    }
}
