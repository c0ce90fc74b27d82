//! What administrators do to other users over the client-server API
//! (<https://spec.matrix.org/v1.19/client-server-api/#server-administration>).

use myelin_model::Requester;
use ruma::OwnedUserId;

use crate::audit::Actor;
use crate::{AccountError, AccountInfo, Auth, DeviceInfo, StoreError};

/// Why a user can't be moderated.
#[derive(Debug, thiserror::Error)]
pub enum ModerationError {
    /// Whoever asks is no administrator, or (where it is about more than looking) the user is one.
    #[error("only administrators may, and not to each other")]
    Forbidden,
    /// The user is another server's.
    #[error("the user belongs to another server")]
    Remote,
    /// There is no such account, or it was deactivated.
    #[error("there is no such account")]
    Unknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether an account is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Its sessions can do nothing but log out.
    Locked,
    /// It can be used.
    Unlocked,
}

/// Whether an account is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspension {
    /// It does nothing that others would see.
    Suspended,
    /// It can be used.
    Active,
}

impl From<AccountError> for ModerationError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => Self::Store(error),
            AccountError::Unknown
            | AccountError::Password(_)
            | AccountError::Elsewhere
            | AccountError::LastWay
            | AccountError::Busy => Self::Unknown,
        }
    }
}

impl Auth {
    /// Whether a user is locked.
    ///
    /// # Errors
    /// Why the requester may not know.
    pub async fn lock_of(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
    ) -> Result<Lock, ModerationError> {
        let locked = self.moderated(requester, user_id).await?.locked_at.is_some();
        Ok(if locked { Lock::Locked } else { Lock::Unlocked })
    }

    /// Locks or unlocks a user.
    ///
    /// # Errors
    /// Why the requester may not.
    pub async fn set_lock(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
        lock: Lock,
    ) -> Result<(), ModerationError> {
        self.moderated(requester, user_id).await?;
        let actor = Actor::from(requester);
        let changed = match lock {
            Lock::Locked => self.lock(&actor, user_id).await,
            Lock::Unlocked => self.unlock(&actor, user_id).await,
        };
        Ok(changed?)
    }

    /// Whether a user is suspended.
    ///
    /// # Errors
    /// Why the requester may not know.
    pub async fn suspension_of(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
    ) -> Result<Suspension, ModerationError> {
        let suspended = self.moderated(requester, user_id).await?.suspended_at.is_some();
        Ok(if suspended { Suspension::Suspended } else { Suspension::Active })
    }

    /// Suspends a user, or ends that.
    ///
    /// # Errors
    /// Why the requester may not.
    pub async fn set_suspension(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
        suspension: Suspension,
    ) -> Result<(), ModerationError> {
        self.moderated(requester, user_id).await?;
        let actor = Actor::from(requester);
        let changed = match suspension {
            Suspension::Suspended => self.suspend(&actor, user_id).await,
            Suspension::Active => self.unsuspend(&actor, user_id).await,
        };
        Ok(changed?)
    }

    /// A user's devices, for themselves and for administrators.
    ///
    /// # Errors
    /// Why the requester may not know.
    pub async fn whois(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
    ) -> Result<Vec<DeviceInfo>, ModerationError> {
        if requester.user_id != *user_id {
            self.known_to_admin(requester, user_id).await?;
        }
        Ok(self.devices_of(user_id).await?)
    }

    /// The account of a user that the requester may moderate.
    pub(super) async fn moderated(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
    ) -> Result<AccountInfo, ModerationError> {
        let account = self.known_to_admin(requester, user_id).await?;
        if account.is_admin { Err(ModerationError::Forbidden) } else { Ok(account) }
    }

    /// An account that is not deactivated, for an administrator. Whether they are one is settled before it is looked up, so that
    /// nobody else learns who has an account.
    async fn known_to_admin(
        &self,
        requester: &Requester,
        user_id: &OwnedUserId,
    ) -> Result<AccountInfo, ModerationError> {
        let account = self.seen_by_admin(requester, user_id).await?;
        if account.deactivated_at.is_some() { Err(ModerationError::Unknown) } else { Ok(account) }
    }
}
