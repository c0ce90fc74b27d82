//! Telling clients who somebody is (OpenID Connect Core 1.0): the driver of `oauth_core::identity`.

pub(crate) mod keys;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use myelin_oauth_core::identity::{IdToken, IdentityScope, LIFETIME};
use myelin_oauth_core::metadata::issuer;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{Account, OpenIdToken, ThirdPartyId};
use myelin_store::schema::oauth::OauthCode;
use myelin_store::schema::users::Profile;
use myelin_store::{Batch, Reader};
use ruma::OwnedUserId;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use self::keys::Signer;
use crate::session::token::{self, Kind};
use crate::{Auth, StoreError};

/// How long an access token for the userinfo endpoint is good, in milliseconds.
const ACCESS: i64 = 3_600_000;
/// What a client gets that asked who somebody is.
#[derive(Clone, Debug)]
pub struct IdentityTokens {
    /// What the userinfo endpoint takes.
    pub access_token: Secret<String>,
    /// How long it does, in seconds.
    pub expires_in: u64,
    /// Who it is.
    pub id_token: Secret<String>,
    /// What was granted.
    pub scope: String,
}

impl Auth {
    /// Adds the access token to the batch that redeems a code which asks for an identity, and makes the ID token.
    pub(crate) fn put_identity(
        &self,
        batch: &mut Batch,
        row: &OauthCode,
        code: &str,
        (scope, signer): (&IdentityScope, &Signer),
    ) -> Result<IdentityTokens, StoreError> {
        let access_token = access_token(code);
        batch.put(&OpenIdToken {
            hash: Bytes::copy_from_slice(&token::hash(access_token.expose())),
            user_id: row.user_id.clone(),
            expires_at: self.now().saturating_add(ACCESS),
            scope: Some(scope.as_str().to_owned()),
        });
        let issuer = issuer(&self.config.public_url);
        let now = self.now().div_euclid(1_000);
        let claims = IdToken {
            iss: &issuer,
            sub: row.user_id.as_str(),
            aud: &row.client_id,
            exp: now + LIFETIME,
            iat: now,
            auth_time: row.authenticated_at.map(|at| at.div_euclid(1_000)),
            nonce: row.nonce.as_deref(),
            preferred_username: scope.has("profile").then(|| row.user_id.localpart()),
        };
        let id_token = signer.sign(&claims).ok_or(StoreError::Unsealable)?;
        let expires_in = u64::try_from(ACCESS / 1_000).unwrap_or_default();
        Ok(IdentityTokens { access_token, expires_in, id_token, scope: scope.as_str().to_owned() })
    }

    /// Ends the access token that came of a code.
    pub(crate) async fn end_identity(&self, code: &str) -> Result<(), StoreError> {
        let mut batch = self.batch("openid_token");
        batch.delete::<OpenIdToken>(&(Bytes::copy_from_slice(&token::hash(access_token(code).expose())),));
        self.engine.commit(batch).await?;
        Ok(())
    }

    /// What the bearer of such an access token may know (section 5.3.2); nothing where it is not good.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn userinfo(&self, access_token: &str) -> Result<Option<Map<String, Value>>, StoreError> {
        if !Kind::OpenId.fits(access_token) {
            return Ok(None);
        }
        let snapshot = self.engine.snapshot().await?;
        let key = (Bytes::copy_from_slice(&token::hash(access_token)),);
        let found = snapshot.get::<OpenIdToken>(&key).await?.filter(|row| row.expires_at > self.now());
        let Some((row, scope)) = found.and_then(|row| {
            let scope = IdentityScope::parse(row.scope.as_deref()?)?;
            Some((row, scope))
        }) else {
            return Ok(None);
        };
        let user: (OwnedUserId,) = (row.user_id,);
        let account = snapshot.get::<Account>(&user).await?;
        if !account.is_some_and(|account| crate::oauth::is_usable(&account)) {
            return Ok(None);
        }
        let mut told = Map::new();
        told.insert("sub".to_owned(), user.0.as_str().into());
        if scope.has("profile") {
            told.insert("preferred_username".to_owned(), user.0.localpart().into());
            let profile = snapshot.get::<Profile>(&user).await?;
            if let Some(name) = profile.and_then(|profile| profile.display_name) {
                told.insert("name".to_owned(), name.into());
            }
        }
        if scope.has("email") {
            let address = snapshot.scan::<ThirdPartyId>(ThirdPartyId::of_user(&user.0, 1)).await?.pop();
            if let Some(row) = address {
                told.insert("email".to_owned(), row.address.into());
                told.insert("email_verified".to_owned(), true.into());
            }
        }
        Ok(Some(told))
    }
}

/// The access token that comes of a code: made of it, so that who brings the code again ends it.
fn access_token(code: &str) -> Secret<String> {
    let digest = Sha256::new().chain_update(b"identity of ").chain_update(code).finalize();
    let mut text = URL_SAFE_NO_PAD.encode(digest);
    text.truncate(32);
    Secret::new(format!("{}{text}", Kind::OpenId.prefix()))
}
