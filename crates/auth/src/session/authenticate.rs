//! From a token to who asks. Runs on every request.

use std::sync::Arc;

use bytes::Bytes;
use myelin_model::Requester;
use myelin_store::schema::auth::{AccessToken, Account, Device, RefreshToken};
use myelin_store::{Batch, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::auth::ATTEMPTS;
use crate::session::cache::{Known, KnownAccount};
use crate::session::expect_device;
use crate::session::token::{self, Kind, TokenHash};
use crate::{Auth, StoreError};

/// Why a token does not authenticate.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// There is no such token: it never was, or its session has ended.
    #[error("the access token is unknown")]
    Unknown,
    /// It has expired, and its session goes on: the client should refresh it or log in again with its device.
    #[error("the access token has expired")]
    Expired,
    /// The account is locked. All that this requester may do is log out.
    #[error("the account is locked")]
    Locked(Box<Requester>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The device and the account that a token hangs on, as they were read.
pub(crate) struct Holder {
    pub(crate) device: Device,
    pub(crate) account: Account,
}

impl Auth {
    /// Whose access token this is.
    ///
    /// The first use of a token that came from a refresh ends the tokens before it.
    ///
    /// # Errors
    /// Why it does not authenticate.
    pub async fn authenticate(&self, token: &str) -> Result<Requester, AuthenticateError> {
        if !Kind::Access.fits(token) {
            return Err(AuthenticateError::Unknown);
        }
        let hash = token::hash(token);
        if let Some(known) = self.cache.get(&hash) {
            return self.unexpired(&known);
        }
        for _ in 0..ATTEMPTS {
            let stamp = self.cache.stamp();
            match self.load(&hash).await? {
                Found::Known(known) => {
                    let requester = self.unexpired(&known);
                    self.cache.insert(stamp, hash, known);
                    return requester;
                }
                Found::Again => {}
            }
        }
        Err(StoreError::Contended.into())
    }

    fn unexpired(&self, known: &Known) -> Result<Requester, AuthenticateError> {
        let expired = known.expires_at.is_some_and(|at| at <= self.now());
        if expired { Err(AuthenticateError::Expired) } else { Ok(known.requester()) }
    }

    async fn load(&self, hash: &TokenHash) -> Result<Found, AuthenticateError> {
        let key = (Bytes::copy_from_slice(hash),);
        let token = self.engine.get_now::<AccessToken>(&key).await.map_err(StoreError::from)?;
        let token = token.ok_or(AuthenticateError::Unknown)?;
        // Each row that need not be read is a search in a tree less. That they are not of one moment does no harm: who changes
        // one of them makes the cache forget what was read of it.
        let (account, is_locked) = match self.cache.account(&token.user_id) {
            Some(account) => (account, false),
            None => self.account_of(&token.user_id).await?.ok_or(AuthenticateError::Unknown)?,
        };
        let AccessToken { device_id, session, expires_at, .. } = &token;
        let (device_id, session, expires_at) = (device_id.clone(), *session, *expires_at);
        let known = Known { account, device_id, session, expires_at };
        if is_locked {
            return Err(AuthenticateError::Locked(Box::new(known.requester())));
        }
        // Its row alone says that nothing is left to write.
        if token.shown == Some(true) || token.expires_at.is_some_and(|at| at <= self.now()) {
            return Ok(Found::Known(known));
        }
        let device_key = (token.user_id.clone(), token.device_id.clone());
        let device = self.engine.get_now::<Device>(&device_key).await.map_err(StoreError::from)?;
        let device = device.filter(|device| device.session == token.session);
        let device = device.ok_or(AuthenticateError::Unknown)?;
        if token.generation <= device.generation {
            return Ok(Found::Known(known));
        }
        let mut batch = self.batch(token.user_id.as_str());
        batch.expect_present::<AccessToken>(&key);
        confirm(&mut batch, &device, token.generation);
        batch.put(&AccessToken { shown: Some(true), ..token.clone() });
        self.commit(batch, &token.user_id).await?;
        // The commit made the cache forget; the token is read once more, and then kept.
        Ok(Found::Again)
    }

    /// What the cache knows of an account, and whether it is locked; nothing where it was deactivated.
    async fn account_of(
        &self,
        user_id: &OwnedUserId,
    ) -> Result<Option<(Arc<KnownAccount>, bool)>, StoreError> {
        let account = self.engine.get_now::<Account>(&(user_id.clone(),)).await?;
        let account = account.filter(|account| account.deactivated_at.is_none());
        Ok(account.map(|account| {
            let (is_suspended, is_locked) = (account.suspended_at.is_some(), account.locked_at.is_some());
            (KnownAccount::new(account.user_id, account.is_admin, is_suspended), is_locked)
        }))
    }
}

enum Found {
    Known(Known),
    Again,
}

/// The client has shown a token of this generation: the older ones end. The refresh token before it is kept as
/// spent, so that a client which comes back with it is told that its session goes on.
pub(crate) fn confirm(batch: &mut Batch, device: &Device, generation: i64) {
    expect_device(batch, device);
    batch.put(&Device { generation, ..device.clone() });
    let session = (device.session,);
    let access = Scan::index::<AccessToken>(AccessToken::BY_SESSION, session, usize::MAX);
    batch.delete_range(access.before((generation,)));
    let refresh = Scan::index::<RefreshToken>(RefreshToken::BY_SESSION, session, usize::MAX);
    batch.delete_range(refresh.before((generation - 1,)));
}

/// What a token hangs on, unless its device was deleted or its account deactivated.
pub(crate) async fn holder(
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
    device_id: &OwnedDeviceId,
    session: i64,
) -> Result<Option<Holder>, StoreError> {
    let device = device(snapshot, user_id, device_id, session).await?;
    let account = snapshot.get::<Account>(&(user_id.clone(),)).await?;
    let (Some(device), Some(account)) = (device, account) else { return Ok(None) };
    Ok(account.deactivated_at.is_none().then_some(Holder { device, account }))
}

/// The device of this session, unless it was deleted.
async fn device(
    snapshot: &dyn Snapshot,
    user_id: &OwnedUserId,
    device_id: &OwnedDeviceId,
    session: i64,
) -> Result<Option<Device>, StoreError> {
    let device = snapshot.get::<Device>(&(user_id.clone(), device_id.clone())).await?;
    Ok(device.filter(|device| device.session == session))
}
