//! Renewing an access token (<https://spec.matrix.org/v1.19/client-server-api/#refreshing-access-tokens>).

use bytes::Bytes;
use myelin_store::schema::auth::{AccessToken, Device, RefreshToken};
use myelin_store::{Batch, ReadError, Reader, Scan, Snapshot};

use crate::auth::{ATTEMPTS, Applied};
use crate::session::authenticate::{Holder, confirm, holder};
use crate::session::token::{self, Kind};
use crate::session::{Issued, Renewal, expect_device};
use crate::{Auth, StoreError};

/// How many pairs of tokens one refresh token gives before the client has used one of them. More than one, because
/// a client may be several processes that refresh at once; each keeps what it got.
const SIBLINGS: usize = 8;
/// The same of a grant, which ends where one of its tokens is shown that is kept no more. Past the first [`BURST`] they come
/// so slowly that the oldest have expired before they go.
const SIBLINGS_OF_GRANT: usize = 256;
/// How many pairs of a grant come at once.
const BURST: usize = 64;

/// Why a refresh token gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// There is no such token, and so no session.
    #[error("the refresh token is unknown")]
    Unknown,
    /// It was used, and what it gave was used too. The session goes on: the client may log in with its device.
    #[error("the refresh token has been used already")]
    Spent,
    /// It belongs to a session that was opened by OAuth 2.0, which has its own way to renew tokens.
    #[error("the refresh token is one of OAuth 2.0")]
    Oauth,
    /// The account is locked.
    #[error("the account is locked")]
    Locked,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ReadError> for RefreshError {
    fn from(error: ReadError) -> Self {
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
        if token::mark_of(token).is_some() {
            return Err(RefreshError::Oauth);
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
            let next = Next::read(&*snapshot, &device, token.generation).await?;
            drop(snapshot);
            if let Some(issued) = self.rotate(&token, next, Renewal::Plain).await? {
                return Ok(issued);
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Issues the generation after this token's; nothing where something changed since it was read.
    pub(crate) async fn rotate(
        &self,
        token: &RefreshToken,
        next: Next,
        renewal: Renewal<'_>,
    ) -> Result<Option<Issued>, StoreError> {
        let device = &next.device;
        let mut batch = self.batch(token.user_id.as_str());
        batch.expect_present::<RefreshToken>(&(token.hash.clone(),));
        if token.generation > device.generation {
            confirm(&mut batch, device, token.generation);
        } else {
            expect_device(&mut batch, device);
        }
        let issued = self.issue_next(&mut batch, next, renewal);
        let applied = self.commit(batch, &token.user_id).await?;
        Ok((applied == Applied::Yes).then_some(issued))
    }

    /// Adds one pair of tokens of the next generation to the batch. Where there are many that nobody used, those end.
    pub(crate) fn issue_next(&self, batch: &mut Batch, next: Next, renewal: Renewal<'_>) -> Issued {
        let Next { device, generation, siblings } = next;
        let most = if matches!(renewal, Renewal::Marked(_)) { SIBLINGS_OF_GRANT } else { SIBLINGS };
        if siblings >= most {
            delete_generation(batch, &device, generation);
        }
        self.issue(batch, &device, generation, renewal)
    }
}

/// The generation of tokens that comes next for a device.
pub(crate) struct Next {
    device: Device,
    generation: i64,
    /// How many refresh tokens there are of it already.
    siblings: usize,
}

impl Next {
    /// The session for which many pairs were issued and none was used: what it asks for more comes slowly.
    pub(crate) fn crowded(&self) -> Option<i64> {
        (self.siblings >= BURST).then_some(self.device.session)
    }

    /// What comes after the given generation.
    pub(crate) async fn read(
        snapshot: &dyn Snapshot,
        device: &Device,
        generation: i64,
    ) -> Result<Self, ReadError> {
        let generation = generation + 1;
        let key = (device.session, generation);
        let siblings = Scan::index::<RefreshToken>(RefreshToken::BY_SESSION, key, SIBLINGS_OF_GRANT);
        let siblings = snapshot.scan::<RefreshToken>(siblings).await?.len();
        Ok(Self { device: device.clone(), generation, siblings })
    }
}

fn delete_generation(batch: &mut Batch, device: &Device, generation: i64) {
    let tokens = (device.session, generation);
    batch.delete_range(Scan::index::<AccessToken>(AccessToken::BY_SESSION, tokens, usize::MAX));
    batch.delete_range(Scan::index::<RefreshToken>(RefreshToken::BY_SESSION, tokens, usize::MAX));
}
