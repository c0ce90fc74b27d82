//! Renewing the tokens of a grant.

use bytes::Bytes;
use myelin_oauth_core::error::Refusal;
use myelin_oauth_core::refresh::{Family, Outcome, Shown};
use myelin_store::Reader;
use myelin_store::schema::auth::{Device, RefreshToken};
use myelin_store::schema::oauth::OauthGrant;

use super::grant::family_of_mark;
use super::{OauthError, OauthTokens, invalid_grant, locked};
use crate::auth::ATTEMPTS;
use crate::session::Renewal;
use crate::session::authenticate::{Holder, holder};
use crate::session::refresh::Next;
use crate::session::token::{self, Kind};
use crate::{Act, Auth, StoreError};

impl Auth {
    /// Counts a pair of tokens more for a client that has used none of many. It is told to wait, and not that it is logged
    /// out.
    pub(super) fn take_sibling(&self, next: &Next) -> Result<(), Refusal> {
        let Some(session) = next.crowded().filter(|_| self.config.limit_failures) else { return Ok(()) };
        self.oauth.take_sibling(session, self.env.clock.elapsed())
    }

    /// Issues the next generation of a grant's tokens. The refresh token stays good until one of them is used; one that
    /// comes after that ends the grant.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn refresh_grant(&self, token: &str, client_id: &str) -> Result<OauthTokens, OauthError> {
        let mark = token::mark_of(token).filter(|_| Kind::Refresh.fits(token)).ok_or_else(invalid_grant)?;
        let key = (Bytes::copy_from_slice(&token::hash(token)),);
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let Some(row) = snapshot.get::<RefreshToken>(&key).await? else {
                drop(snapshot);
                return self.forgotten(&family_of_mark(mark), client_id).await;
            };
            let holder = holder(&*snapshot, &row.user_id, &row.device_id, row.session).await?;
            let Some(Holder { device, account }) = holder else { return Err(invalid_grant()) };
            let grant = snapshot.get::<OauthGrant>(&(row.user_id.clone(), row.device_id.clone())).await?;
            let grant = grant.ok_or_else(invalid_grant)?;
            if account.locked_at.is_some() {
                return Err(locked());
            }
            let family = Family { client_id: &grant.client_id, generation: device.generation };
            match family.refresh(Shown::Kept(row.generation), client_id) {
                Outcome::Rotate { .. } => {}
                Outcome::OtherClient => return Err(invalid_grant()),
                Outcome::Reused => {
                    drop(snapshot);
                    self.end_family(&grant.family, Act::OauthTokenReused).await?;
                    return Err(invalid_grant());
                }
            }
            let next = Next::read(&*snapshot, &device, row.generation).await?;
            drop(snapshot);
            self.take_sibling(&next)?;
            if let Some(issued) = self.rotate(&row, next, Renewal::Marked(mark)).await? {
                return Ok(OauthTokens { issued, scope: grant.scope });
            }
        }
        Err(StoreError::Contended.into())
    }

    /// A token is shown that is kept no more. If there is a grant whose mark it bears, it was spent long ago.
    async fn forgotten(&self, family: &Bytes, client_id: &str) -> Result<OauthTokens, OauthError> {
        let snapshot = self.engine.snapshot().await?;
        let grant = snapshot.scan::<OauthGrant>(OauthGrant::of_family(family)).await?.pop();
        let Some(grant) = grant else { return Err(invalid_grant()) };
        let device = snapshot.get::<Device>(&(grant.user_id, grant.device_id)).await?;
        drop(snapshot);
        let generation = device.map_or(0, |device| device.generation);
        let known = Family { client_id: &grant.client_id, generation };
        if known.refresh(Shown::Forgotten, client_id) == Outcome::Reused {
            self.end_family(family, Act::OauthTokenReused).await?;
        }
        Err(invalid_grant())
    }
}
