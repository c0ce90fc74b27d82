//! What administrators see and end of other users over HTTP: sessions, accounts elsewhere, what happened.
//!
//! They may look at every account of this server, and change those of who does not administer it ([`super::moderation`]).

use myelin_model::Requester;
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::{AccountInfo, Actor, AuditEntry, Auth, Connection, ModerationError, OwnDevice};

impl Auth {
    /// A page of a user's sessions in the order of their devices' ids, after the given one.
    ///
    /// # Errors
    /// Why the requester may not know.
    pub async fn sessions_for(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
        after: Option<&OwnedDeviceId>,
        limit: usize,
    ) -> Result<Vec<OwnDevice>, ModerationError> {
        self.seen_by_admin(requester, user_id).await?;
        Ok(self.sessions_page(user_id, after, limit).await?)
    }

    /// Ends a session of a user, with its device; whether there was one.
    ///
    /// # Errors
    /// Why the requester may not.
    pub async fn end_session_for(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
        device_id: &OwnedDeviceId,
    ) -> Result<bool, ModerationError> {
        self.moderated(requester, user_id).await?;
        Ok(self.end_session(&Actor::from(requester), user_id, device_id).await?)
    }

    /// Ends every session of a user, on the pages too; how many devices went.
    ///
    /// # Errors
    /// Why the requester may not.
    pub async fn end_sessions_for(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
    ) -> Result<usize, ModerationError> {
        self.moderated(requester, user_id).await?;
        Ok(self.end_sessions(&Actor::from(requester), user_id).await?)
    }

    /// A user's accounts elsewhere.
    ///
    /// # Errors
    /// Why the requester may not know.
    pub async fn connections_for(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
    ) -> Result<Vec<Connection>, ModerationError> {
        self.seen_by_admin(requester, user_id).await?;
        Ok(self.connections_of(user_id).await?)
    }

    /// Takes a connection of a user with a provider away, be it their last way to sign in; whether there was one.
    ///
    /// # Errors
    /// Why the requester may not.
    pub async fn disconnect_for(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
        provider: &str,
    ) -> Result<bool, ModerationError> {
        self.moderated(requester, user_id).await?;
        Ok(self.disconnect_user(&Actor::from(requester), user_id, provider).await?)
    }

    /// What happened to an account, the newest first, before a place in the log.
    ///
    /// # Errors
    /// Why the requester may not know.
    pub async fn audit_for(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, ModerationError> {
        self.seen_by_admin(requester, user_id).await?;
        Ok(self.audit_before(user_id, before, limit).await?)
    }

    /// An account that an administrator looks at, be it deactivated.
    pub(super) async fn seen_by_admin(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
    ) -> Result<AccountInfo, ModerationError> {
        if !requester.is_admin {
            return Err(ModerationError::Forbidden);
        }
        if user_id.server_name() != self.config.server_name {
            return Err(ModerationError::Remote);
        }
        self.account(user_id).await?.ok_or(ModerationError::Unknown)
    }
}
