//! Interactive authentication of who has no password: they show on the account's pages that it is them, in whatever way they sign in.

use myelin_store::Reader;
use myelin_store::schema::auth::Password;
use ruma::{OwnedDeviceId, OwnedUserId};

use super::sessions::Shown;
use super::{Operation, Stage};
use crate::{Act, Actor, Auth, Browser, StoreError};

/// What is offered to them in place of a password.
pub(super) const ON_THE_PAGE: &[&[Stage]] = &[&[Stage::Sso]];

impl Auth {
    /// The operation with flows that its requester can go: where there are pages, nobody is asked for a password that they don't have.
    pub(super) async fn fitting<'o>(&self, operation: &Operation<'o>) -> Result<Operation<'o>, StoreError> {
        let wants_password = operation.flows.iter().any(|flow| flow.contains(&Stage::Password));
        match operation.asks.filter(|_| wants_password && self.config.oauth.enabled) {
            Some(requester) if !self.has_password(&requester.user_id).await? => {
                Ok(Operation { flows: ON_THE_PAGE, ..*operation })
            }
            _ => Ok(*operation),
        }
    }

    /// Whether a password is somebody's, of this server or of the directory.
    async fn has_password(&self, user_id: &OwnedUserId) -> Result<bool, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        let own = snapshot.get::<Password>(&(user_id.clone(),)).await?;
        if self.config.password_login && own.is_some() {
            return Ok(true);
        }
        self.is_of_directory(&*snapshot, user_id).await
    }

    /// The device that asks who is signed in to show that it is them, in this session of interactive authentication; nothing where
    /// none does, or somebody else is asked.
    #[must_use]
    pub fn to_confirm(&self, browser: &Browser, session: &str) -> Option<OwnedDeviceId> {
        let session = self.uia.get(session, self.env.clock.elapsed())?;
        let (user_id, device_id) = session.confirms?;
        device_id.filter(|_| user_id == browser.user_id)
    }

    /// Notes that they did. That they signed in a short time ago is settled. Whether anything waits for it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn confirm(&self, browser: &Browser, session: &str) -> Result<bool, StoreError> {
        let Some(device_id) = self.to_confirm(browser, session) else { return Ok(false) };
        if !self.is_signed_in(browser).await? {
            return Ok(false);
        }
        let user_id = &browser.user_id;
        let mut batch = self.batch(user_id.as_str());
        let detail = Some(device_id.to_string());
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::UiaConfirm, Some(user_id), detail);
        self.engine.commit(batch).await?;
        Ok(self.uia.complete(session, Stage::Sso, Shown::Nothing).is_some())
    }
}
