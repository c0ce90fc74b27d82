//! Ending a session by one of its tokens (RFC 7009; client-server API, "Token revocation").

use bytes::Bytes;
use myelin_store::Reader;
use myelin_store::schema::auth::{AccessToken, RefreshToken};
use ruma::{OwnedDeviceId, OwnedUserId};

use super::grant::family_of_mark;
use crate::auth::{ATTEMPTS, Applied};
use crate::session::authenticate::{Holder, holder};
use crate::session::token::{self, Kind};
use crate::{Actor, Auth, StoreError};

/// The session that a token belongs to.
struct Session {
    user_id: OwnedUserId,
    device_id: OwnedDeviceId,
    number: i64,
}

impl Auth {
    /// Ends the session that the token belongs to, with its device, whoever brings it: who finds a token that leaked may
    /// end it. Whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn revoke(&self, token: &str) -> Result<bool, StoreError> {
        let Some(session) = self.session_of(token).await? else {
            let Some(mark) = token::mark_of(token) else { return Ok(false) };
            self.end_family(&family_of_mark(mark), "oauth.revoke").await?;
            return Ok(false);
        };
        let Session { user_id, device_id, number } = session;
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let holder = holder(&*snapshot, &user_id, &device_id, number).await?;
            drop(snapshot);
            let Some(Holder { device, .. }) = holder else { return Ok(false) };
            let mut batch = self.batch(user_id.as_str());
            let detail = Some(device_id.to_string());
            self.record(&mut batch, &Actor::User(user_id.clone()), "oauth.revoke", Some(&user_id), detail);
            self.extend_ends(&mut batch, &user_id, &[device]).await?;
            if self.commit(batch, &user_id).await? == Applied::Yes {
                return Ok(true);
            }
        }
        Err(StoreError::Contended)
    }

    async fn session_of(&self, token: &str) -> Result<Option<Session>, StoreError> {
        let key = (Bytes::copy_from_slice(&token::hash(token)),);
        let snapshot = self.engine.snapshot().await?;
        if Kind::Access.fits(token) {
            let row = snapshot.get::<AccessToken>(&key).await?;
            let session = |row: AccessToken| Session {
                user_id: row.user_id,
                device_id: row.device_id,
                number: row.session,
            };
            return Ok(row.map(session));
        }
        if Kind::Refresh.fits(token) {
            let row = snapshot.get::<RefreshToken>(&key).await?;
            let session = |row: RefreshToken| Session {
                user_id: row.user_id,
                device_id: row.device_id,
                number: row.session,
            };
            return Ok(row.map(session));
        }
        Ok(None)
    }
}
