//! What operators do to accounts.

use myelin_runtime::Secret;
use myelin_store::schema::auth::Account;
use myelin_store::{Reader, Scan};
use ruma::OwnedUserId;

use crate::audit::Actor;
use crate::oauth::approvals::end_browsers;
use crate::{AccountError, Act, Auth, OtherSessions, StoreError};

/// An account, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// The user id.
    pub user_id: OwnedUserId,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Whether the user administers this server.
    pub is_admin: bool,
    /// What kind of user it is, where a tool told.
    pub user_type: Option<String>,
    /// Since when it is locked.
    pub locked_at: Option<i64>,
    /// Since when it is suspended.
    pub suspended_at: Option<i64>,
    /// Since when it is deactivated.
    pub deactivated_at: Option<i64>,
}

/// Whether a user administers this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRights {
    /// They do.
    Granted,
    /// They don't.
    Revoked,
}

impl From<Account> for AccountInfo {
    fn from(row: Account) -> Self {
        Self {
            user_id: row.user_id,
            created_at: row.created_at,
            is_admin: row.is_admin,
            user_type: row.user_type,
            locked_at: row.locked_at,
            suspended_at: row.suspended_at,
            deactivated_at: row.deactivated_at,
        }
    }
}

impl Auth {
    /// The next accounts in the order of their user ids, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn accounts(
        &self,
        after: Option<&OwnedUserId>,
        limit: usize,
    ) -> Result<Vec<AccountInfo>, StoreError> {
        let scan = Scan::prefix::<Account>((), limit);
        let scan = match after {
            Some(user_id) => scan.after((user_id.clone(),)),
            None => scan,
        };
        let rows = self.engine.snapshot().await?.scan::<Account>(scan).await?;
        Ok(rows.into_iter().map(AccountInfo::from).collect())
    }

    /// One account of this server.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn account(&self, user_id: &OwnedUserId) -> Result<Option<AccountInfo>, StoreError> {
        let row = self.engine.get_now::<Account>(&(user_id.clone(),)).await?;
        Ok(row.map(AccountInfo::from))
    }

    /// Locks an account: its sessions stay and can do nothing but log out until it is unlocked; on the pages it is signed out
    /// (<https://spec.matrix.org/v1.19/client-server-api/#account-locking>).
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn lock(&self, actor: &Actor, user_id: &OwnedUserId) -> Result<(), AccountError> {
        let now = self.now();
        self.change_account(actor, user_id, Act::AccountLock, |batch, account| {
            end_browsers(batch, &account.user_id);
            account.locked_at = account.locked_at.or(Some(now));
            None
        })
        .await
        .map(drop)
    }

    /// Unlocks an account.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn unlock(&self, actor: &Actor, user_id: &OwnedUserId) -> Result<(), AccountError> {
        self.change_account(actor, user_id, Act::AccountUnlock, |_, account| {
            account.locked_at = None;
            None
        })
        .await
        .map(drop)
    }

    /// Suspends an account: its sessions go on and read, and do nothing that others would see
    /// (<https://spec.matrix.org/v1.19/client-server-api/#account-suspension>).
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn suspend(&self, actor: &Actor, user_id: &OwnedUserId) -> Result<(), AccountError> {
        let now = self.now();
        self.change_account(actor, user_id, Act::AccountSuspend, |_, account| {
            account.suspended_at = account.suspended_at.or(Some(now));
            None
        })
        .await
        .map(drop)
    }

    /// Ends a suspension.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn unsuspend(&self, actor: &Actor, user_id: &OwnedUserId) -> Result<(), AccountError> {
        self.change_account(actor, user_id, Act::AccountUnsuspend, |_, account| {
            account.suspended_at = None;
            None
        })
        .await
        .map(drop)
    }

    /// Gives somebody a new password, on behalf of who forgot theirs.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn reset_password(
        &self,
        actor: &Actor,
        user_id: &OwnedUserId,
        password: Secret<String>,
        sessions: OtherSessions,
    ) -> Result<(), AccountError> {
        self.set_password(actor, user_id, password, sessions, None).await
    }

    /// Makes somebody an administrator of this server, or no longer one.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn set_admin(
        &self,
        actor: &Actor,
        user_id: &OwnedUserId,
        rights: AdminRights,
    ) -> Result<(), AccountError> {
        let granted = rights == AdminRights::Granted;
        let act = if granted { Act::AdminGrant } else { Act::AdminRevoke };
        self.change_account(actor, user_id, act, |_, account| {
            account.is_admin = granted;
            None
        })
        .await
        .map(drop)
    }
}
