//! Renewing an access token (<https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens>).

use bytes::Bytes;
use myelin_store::schema::auth::{AccessToken, Device, RefreshToken};
use myelin_store::{Batch, Reader, Scan};

use crate::auth::{ATTEMPTS, Applied};
use crate::session::authenticate::{Holder, confirm, holder};
use crate::session::token::{self, Kind};
use crate::session::{Issued, RefreshTokens, expect_device};
use crate::{Auth, StoreError};

/// How many pairs of tokens one refresh token gives before the client has used one of them. More than one, because
/// a client may be several processes that refresh at once; each keeps what it got.
const SIBLINGS: usize = 8;

/// Why a refresh token gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// There is no such token, and so no session.
    #[error("the refresh token is unknown")]
    Unknown,
    /// It was used, and what it gave was used too. The session goes on: the client may log in with its device.
    #[error("the refresh token has been used already")]
    Spent,
    /// The account is locked.
    #[error("the account is locked")]
    Locked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<myelin_store::ReadError> for RefreshError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl Auth {
    /// Issues the next generation of tokens. The refresh token stays good until one of them is used, so that a
    /// client which never saw the answer can ask again.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn refresh(&self, token: &str) -> Result<Issued, RefreshError> {
        if !Kind::Refresh.fits(token) {
            return Err(RefreshError::Unknown);
        }
        let key = (Bytes::copy_from_slice(&token::hash(token)),);
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let Some(token) = snapshot.get::<RefreshToken>(&key).await? else {
                return Err(RefreshError::Unknown);
            };
            let holder = holder(&*snapshot, &token.user_id, &token.device_id, token.session).await?;
            let Some(Holder { device, account }) = holder else { return Err(RefreshError::Unknown) };
            if account.locked_at.is_some() {
                return Err(RefreshError::Locked);
            }
            if token.generation < device.generation {
                return Err(RefreshError::Spent);
            }
            let next = token.generation + 1;
            let siblings =
                Scan::index::<RefreshToken>(RefreshToken::BY_SESSION, (device.session, next), SIBLINGS);
            let siblings = snapshot.scan::<RefreshToken>(siblings).await?.len();
            drop(snapshot);

            let mut batch = self.batch(token.user_id.as_str());
            batch.expect_present::<RefreshToken>(&key);
            if token.generation > device.generation {
                confirm(&mut batch, &device, token.generation);
            } else {
                expect_device(&mut batch, &device);
            }
            if siblings >= SIBLINGS {
                delete_generation(&mut batch, &device, next);
            }
            let issued = self.issue(&mut batch, &device, next, RefreshTokens::Supported);
            if self.commit(batch, &token.user_id).await? == Applied::Yes {
                return Ok(issued);
            }
        }
        Err(StoreError::Contended.into())
    }
}

fn delete_generation(batch: &mut Batch, device: &Device, generation: i64) {
    let tokens = (device.session, generation);
    batch.delete_range(Scan::index::<AccessToken>(AccessToken::BY_SESSION, tokens, usize::MAX));
    batch.delete_range(Scan::index::<RefreshToken>(RefreshToken::BY_SESSION, tokens, usize::MAX));
}
