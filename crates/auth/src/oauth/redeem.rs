//! Redeeming an authorization code.

use bytes::Bytes;
use myelin_oauth_core::client::ClientMetadata;
use myelin_oauth_core::code::{Code, Outcome, REMEMBERED, Shown};
use myelin_oauth_core::identity::IdentityScope;
use myelin_oauth_core::pkce::Challenge;
use myelin_store::Reader;
use myelin_store::schema::auth::Account;
use myelin_store::schema::oauth::{OauthClient, OauthCode};

use super::browser::is_usable;
use super::grant::{NewGrant, family_of};
use super::{OauthError, OauthTokens, invalid_grant};
use crate::auth::{ATTEMPTS, Applied};
use crate::session::expect_account;
use crate::session::token::{self, Kind};
use crate::{Act, Actor, Auth, IdentityTokens, StoreError};

/// What came of a code.
#[derive(Clone, Debug)]
pub enum Redeemed {
    /// A session.
    Session(OauthTokens),
    /// Who somebody is.
    Identity(IdentityTokens),
}

impl Redeemed {
    /// The tokens of the session, if one came of it.
    #[must_use]
    pub fn session(self) -> Option<OauthTokens> {
        match self {
            Self::Session(tokens) => Some(tokens),
            Self::Identity(_) => None,
        }
    }
}

impl Auth {
    /// Opens the session that a code was made for. A code that comes back ends what came of it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn redeem_code(&self, code: &str, shown: &Shown<'_>) -> Result<Redeemed, OauthError> {
        if !Kind::Code.fits(code) {
            return Err(invalid_grant());
        }
        let key = (Bytes::copy_from_slice(&token::hash(code)),);
        for _ in 0..ATTEMPTS {
            let number = self.next_session().await?;
            let snapshot = self.engine.snapshot().await?;
            let row = snapshot.get::<OauthCode>(&key).await?.ok_or_else(invalid_grant)?;
            match stored(&row).ok_or_else(invalid_grant)?.redeem(shown, self.now()) {
                Outcome::Issue(_) => {}
                Outcome::Refused => return Err(invalid_grant()),
                Outcome::Reused => {
                    drop(snapshot);
                    self.end_family(&family_of(code), Act::OauthCodeReused).await?;
                    self.end_identity(code).await?;
                    return Err(invalid_grant());
                }
            }
            let account = snapshot.get::<Account>(&(row.user_id.clone(),)).await?;
            let account = account.filter(is_usable).ok_or_else(invalid_grant)?;
            let client = snapshot.get::<OauthClient>(&(row.client_id.clone(),)).await?;
            // One that an operator removed gets nothing any more.
            let client = client.ok_or_else(invalid_grant)?;
            let client = ClientMetadata::parse(client.metadata.as_bytes()).ok();
            let mut batch = self.batch(row.user_id.as_str());
            // Of two who bring the same code, one finds it redeemed.
            batch.expect_column::<OauthCode>(&key, "is_redeemed", &false);
            // From now on it is kept, to know one that comes back.
            let forgotten_at = self.now().saturating_add(REMEMBERED);
            batch.put(&OauthCode { is_redeemed: true, forgotten_at, ..row.clone() });
            if let Some(scope) = IdentityScope::parse(&row.scope) {
                drop(snapshot);
                expect_account(&mut batch, &account);
                let algorithm = client.map(|client| client.id_token_algorithm).unwrap_or_default();
                let signer = self.signer(algorithm).await?;
                let tokens = self.put_identity(&mut batch, &row, code, (&scope, &signer))?;
                let detail = Some(format!("{} {}", row.client_id, scope.as_str()));
                let actor = Actor::User(row.user_id.clone());
                self.record(&mut batch, &actor, Act::OauthIdentity, Some(&row.user_id), detail);
                if self.commit(batch, &row.user_id).await? == Applied::Yes {
                    return Ok(Redeemed::Identity(tokens));
                }
                continue;
            }
            let grant = NewGrant {
                code,
                client_id: &row.client_id,
                client_name: client.as_ref().and_then(|client| client.client_name.get("en")),
                scope: &row.scope,
                account: &account,
                origin: row.origin.as_deref(),
            };
            let tokens = self.open_grant(&mut batch, &*snapshot, &grant, number).await?;
            drop(snapshot);
            if self.commit(batch, &row.user_id).await? == Applied::Yes {
                return Ok(Redeemed::Session(tokens));
            }
        }
        Err(StoreError::Contended.into())
    }
}

fn stored(row: &OauthCode) -> Option<Code> {
    Some(Code {
        client_id: row.client_id.clone(),
        redirect_uri: row.redirect_uri.clone(),
        challenge: Challenge::parse(&row.challenge)?,
        expires_at: row.expires_at,
        is_redeemed: row.is_redeemed,
    })
}
