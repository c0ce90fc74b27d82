//! Tokens by which a session's user logs in on another device
//! (<https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token>).

use std::time::Duration;

use bytes::Bytes;
use myelin_model::Requester;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{Device, LoginToken};
use myelin_store::schema::upstream::DeviceOrigin;
use myelin_store::{Durability, Reader, Scan};

use crate::audit::Actor;
use crate::auth::{ATTEMPTS, Applied};
use crate::oauth::expect_browser;
use crate::session::token::{self, Kind};
use crate::{Act, Auth, Browser, StoreError};

/// How long a token is good for, as the spec recommends.
const LIFETIME: Duration = Duration::from_secs(120);

/// How many tokens of one session are good at once. With another one, the one that expires first is good no more.
const MOST_TOKENS: usize = 4;

/// In place of the session of a token that hangs on none: sessions are numbered from 1.
const NO_SESSION: i64 = -1;

/// A token that was made durable just now.
#[derive(Debug)]
pub struct NewLoginToken {
    /// The token.
    pub token: Secret<String>,
    /// How long it is good for.
    pub lifetime: Duration,
}

impl Auth {
    /// Makes a login token for the requester; nothing where their session ended meanwhile. That they are who they are
    /// has been settled by interactive authentication.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn login_token(&self, requester: &Requester) -> Result<Option<NewLoginToken>, StoreError> {
        let Requester { user_id, device_id: Some(device_id), session, .. } = requester else {
            return Ok(None);
        };
        let device_key = (user_id.clone(), device_id.clone());
        let lifetime = i64::try_from(LIFETIME.as_millis()).unwrap_or(i64::MAX);
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let device = snapshot.get::<Device>(&device_key).await?;
            if device.is_none_or(|device| device.session != *session) {
                return Ok(None);
            }
            // What ends this session elsewhere ends the one that is opened with it, too.
            let device_origin = snapshot.get::<DeviceOrigin>(&device_key).await?;
            let held = Scan::index::<LoginToken>(LoginToken::BY_SESSION, (*session,), MOST_TOKENS + 1);
            let held = snapshot.scan::<LoginToken>(held).await?;
            drop(snapshot);
            let mut batch = self.batch(user_id.as_str());
            batch.expect_column::<Device>(&device_key, "session", session);
            let surplus = (held.len() + 1).saturating_sub(MOST_TOKENS);
            for oldest in held.into_iter().take(surplus) {
                batch.delete::<LoginToken>(&(oldest.hash,));
            }
            let token = token::mint(&self.env.random, Kind::Login);
            batch.put(&LoginToken {
                hash: Bytes::copy_from_slice(&token::hash(token.expose())),
                session: *session,
                user_id: user_id.clone(),
                expires_at: self.now().saturating_add(lifetime),
                origin: device_origin.as_ref().map(|row| row.origin.clone()),
            });
            if self.commit(batch, user_id).await? == Applied::Yes {
                return Ok(Some(NewLoginToken { token, lifetime: LIFETIME }));
            }
        }
        Err(StoreError::Contended)
    }

    /// Makes a login token for who is signed in on the pages. It hangs on no session.
    ///
    /// Nothing where they were signed out meanwhile.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn login_token_of(&self, browser: &Browser) -> Result<Option<NewLoginToken>, StoreError> {
        let user_id = &browser.user_id;
        let lifetime = i64::try_from(LIFETIME.as_millis()).unwrap_or(i64::MAX);
        let token = token::mint(&self.env.random, Kind::Login);
        let mut batch = self.batch(user_id.as_str());
        expect_browser(&mut batch, browser);
        batch.insert(&LoginToken {
            hash: Bytes::copy_from_slice(&token::hash(token.expose())),
            session: NO_SESSION,
            user_id: user_id.clone(),
            expires_at: self.now().saturating_add(lifetime),
            origin: browser.origin.clone(),
        });
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::SsoApprove, Some(user_id), None);
        let applied = self.commit(batch, user_id).await?;
        Ok((applied == Applied::Yes).then_some(NewLoginToken { token, lifetime: LIFETIME }))
    }

    /// Forgets tokens that have expired.
    pub(crate) async fn prune_login_tokens(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("login_token");
        batch.durability = Durability::MayLag;
        let all = Scan::index::<LoginToken>(LoginToken::BY_EXPIRY, (), usize::MAX);
        batch.delete_range(all.up_to((self.now(),)));
        self.engine.commit(batch).await?;
        Ok(())
    }
}
