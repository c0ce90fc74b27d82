//! Ending a session by one of its tokens (RFC 7009; client-server API, "Token revocation").

use bytes::Bytes;
use myelin_store::schema::auth::{AccessToken, RefreshToken};
use myelin_store::{Batch, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedUserId};

use super::grant::family_of_mark;
use crate::auth::{ATTEMPTS, Applied};
use crate::session::authenticate::{Holder, holder};
use crate::session::token::{self, Kind};
use crate::{Act, Actor, Auth, StoreError};

/// The session that a token belongs to.
struct Session {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    number: i64,
    generation: i64,
    by: By,
}

impl Auth {
    /// Ends the session that the token belongs to, with its device, whoever brings it: who finds a token that leaked may
    /// end it. Whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke(&self, token: &str) -> Result<bool, StoreError> {
        self.end_by_token(token, Act::OauthRevoke).await
    }

    /// Ends the session of a token. One that was opened anew under the same device id meanwhile goes on; one whose tokens were
    /// only renewed meanwhile ends.
    pub(crate) async fn end_by_token(&self, token: &str, act: Act) -> Result<bool, StoreError> {
        let mut before = None;
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let found = match session_of(&*snapshot, token).await? {
                Some(found) => Some(found),
                None => renewed(&*snapshot, before.take()).await?,
            };
            let Some(session) = found else {
                drop(snapshot);
                let Some(mark) = token::mark_of(token) else { return Ok(false) };
                self.end_family(&family_of_mark(mark), act).await?;
                return Ok(false);
            };
            let Session { user_id, device_id, number, .. } = &session;
            let holder = holder(&*snapshot, user_id, device_id, *number).await?;
            drop(snapshot);
            let Some(Holder { device, .. }) = holder else { return Ok(false) };
            let mut batch = self.batch(user_id.as_str());
            session.expect(&mut batch);
            let detail = Some(device_id.to_string());
            self.record(&mut batch, &Actor::User(user_id.clone()), act, Some(user_id), detail);
            self.extend_ends(&mut batch, user_id, &[device]).await?;
            if self.commit(batch, user_id).await? == Applied::Yes {
                return Ok(true);
            }
            before = Some(session);
        }
        Err(StoreError::Contended)
    }
}

/// The row by which the session is known.
enum By {
    Access(Bytes),
    Refresh(Bytes),
}

impl Session {
    /// Expects that the session has not been opened anew, which would have ended its tokens.
    fn expect(&self, batch: &mut Batch) {
        match &self.by {
            By::Access(hash) => batch.expect_present::<AccessToken>(&(hash.clone(),)),
            By::Refresh(hash) => batch.expect_present::<RefreshToken>(&(hash.clone(),)),
        }
    }
}

impl From<AccessToken> for Session {
    fn from(row: AccessToken) -> Self {
        let AccessToken { hash, session, generation, user_id, device_id, .. } = row;
        Self { user_id, device_id, number: session, generation, by: By::Access(hash) }
    }
}

impl From<RefreshToken> for Session {
    fn from(row: RefreshToken) -> Self {
        let RefreshToken { hash, session, generation, user_id, device_id } = row;
        Self { user_id, device_id, number: session, generation, by: By::Refresh(hash) }
    }
}

async fn session_of(snapshot: &dyn Snapshot, token: &str) -> Result<Option<Session>, StoreError> {
    let key = (Bytes::copy_from_slice(&token::hash(token)),);
    if Kind::Access.fits(token) {
        return Ok(snapshot.get::<AccessToken>(&key).await?.map(Session::from));
    }
    if Kind::Refresh.fits(token) {
        return Ok(snapshot.get::<RefreshToken>(&key).await?.map(Session::from));
    }
    Ok(None)
}

/// The session of a token that went meanwhile: of one that was renewed, the refresh token beside it stays as spent.
async fn renewed(snapshot: &dyn Snapshot, before: Option<Session>) -> Result<Option<Session>, StoreError> {
    let Some(Session { number, generation, .. }) = before else { return Ok(None) };
    let scan = Scan::index::<RefreshToken>(RefreshToken::BY_SESSION, (number, generation), 1);
    Ok(snapshot.scan::<RefreshToken>(scan).await?.pop().map(Session::from))
}
