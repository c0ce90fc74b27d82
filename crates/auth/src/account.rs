//! Accounts: changing a password, deactivating, and what comes after.

mod administration;
pub(crate) mod language;
pub(crate) mod localpart;
pub(crate) mod moderation;
pub(crate) mod operator;
pub(crate) mod password;
pub(crate) mod strength;
pub(crate) mod third_party;
pub(crate) mod ways;

use myelin_model::{Requester, Topic};
use myelin_runtime::{PoolBusy, Secret};
use myelin_store::schema::auth::{Account, AccountLanguage, Device, Password, ThirdPartyId};
use myelin_store::schema::upstream::UpstreamLink;
use myelin_store::{Batch, Reader, Scan};
use ruma::{OwnedDeviceId, OwnedUserId};

use crate::account::password::{Chooser, PasswordProblem};
use crate::account::strength::NotTaken;
use crate::audit::Actor;
use crate::auth::{ATTEMPTS, Applied, ENDS_PER_COMMIT};
use crate::factor::delete_factors;
use crate::oauth::approvals::end_approvals;
use crate::session::expect_account;
use crate::{Act, Auth, StoreError};

/// Why an account could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is no such account on this server, or it was deactivated.
    #[error("there is no such account")]
    Unknown,
    /// The new password can't be taken.
    #[error(transparent)]
    Password(#[from] PasswordProblem),
    /// The user has no password on this server, and can't have one: it is kept elsewhere ([`Auth::keeps_password`]).
    #[error("the password is not kept on this server")]
    Elsewhere,
    /// Without what was to be taken away nobody could sign in to the account any more.
    #[error("this is the only way to sign in to the account")]
    LastWay,
    /// Too many passwords are being hashed.
    #[error("the server is busy hashing passwords")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotTaken> for AccountError {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Problem(problem) => problem.into(),
            NotTaken::Busy => Self::Busy,
        }
    }
}

impl From<PoolBusy> for AccountError {
    fn from(PoolBusy: PoolBusy) -> Self {
        Self::Busy
    }
}

impl From<myelin_store::ReadError> for AccountError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

/// What becomes of the user's other sessions when the password changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherSessions {
    /// They go on.
    Keep,
    /// They end, and their devices are deleted.
    End,
}

/// Whether a deactivated user's content is to go as far as possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erase {
    /// It stays.
    No,
    /// It goes.
    Yes,
}

/// An account that was deactivated just now: its sessions have ended, its rooms have not been left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deactivated {
    /// Whose it was.
    pub user_id: OwnedUserId,
    /// The devices that went with it.
    pub devices: Vec<OwnedDeviceId>,
}

/// A deactivated account whose rooms have not been left yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departing {
    /// Whose it was.
    pub user_id: OwnedUserId,
    /// What they want to become of their content.
    pub erase: Erase,
}

impl Auth {
    /// Gives the requester a new password. Their own session goes on.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn change_password(
        &self,
        requester: &Requester,
        password: Secret<String>,
        others: OtherSessions,
    ) -> Result<(), AccountError> {
        let actor = Actor::from(requester);
        let keep = requester.device_id.as_ref();
        self.set_password(&actor, &requester.user_id, password, others, keep).await
    }

    /// Whether a user may choose a password here. Not where nobody logs in with one of this server, nor somebody of the
    /// directory: who is removed from it would log in with the other one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keeps_password(&self, user_id: &OwnedUserId) -> Result<bool, StoreError> {
        if !self.config.password_login || self.directory.is_none() {
            return Ok(self.config.password_login);
        }
        Ok(!self.is_of_directory(&*self.engine.snapshot().await?, user_id).await?)
    }

    pub(crate) async fn set_password(
        &self,
        actor: &Actor,
        user_id: &OwnedUserId,
        password: Secret<String>,
        others: OtherSessions,
        keep: Option<&OwnedDeviceId>,
    ) -> Result<(), AccountError> {
        self.set_password_with(actor, user_id, password, others, keep, |_| ()).await
    }

    /// The same, with something more in the commit.
    pub(crate) async fn set_password_with(
        &self,
        actor: &Actor,
        user_id: &OwnedUserId,
        password: Secret<String>,
        others: OtherSessions,
        keep: Option<&OwnedDeviceId>,
        more: impl Fn(&mut Batch),
    ) -> Result<(), AccountError> {
        let chooser = Chooser::from(actor);
        if chooser == Chooser::User && !self.keeps_password(user_id).await? {
            return Err(AccountError::Elsewhere);
        }
        self.check_password(user_id, &password, chooser).await?;
        let hash = self.hash(password).await?;
        self.change_account(actor, user_id, Act::AccountPassword, |batch, account| {
            let user_id = account.user_id.clone();
            end_approvals(batch, &user_id);
            batch.put(&Password { user_id, hash: hash.clone(), changed_at: self.now() });
            more(batch);
            (others == OtherSessions::End).then_some(keep)
        })
        .await?;
        Ok(())
    }

    /// Deactivates an account for good: nobody can log in to it, nobody else gets its name; its addresses are free for
    /// other accounts. The rooms are left by
    /// whoever works through [`Self::departing`].
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn deactivate(
        &self,
        actor: &Actor,
        user_id: &OwnedUserId,
        erase: Erase,
    ) -> Result<Deactivated, AccountError> {
        let devices = self
            .change_account(actor, user_id, Act::AccountDeactivate, |batch, account| {
                account.deactivated_at = Some(self.now());
                account.departing = true;
                account.erase = erase == Erase::Yes;
                account.is_admin = false;
                batch.delete::<Password>(&(account.user_id.clone(),));
                batch.delete::<AccountLanguage>(&(account.user_id.clone(),));
                end_approvals(batch, &account.user_id);
                delete_factors(batch, &account.user_id);
                batch.delete_range(ThirdPartyId::of_user(&account.user_id, usize::MAX));
                batch.delete_range(UpstreamLink::of_user(&account.user_id, usize::MAX));
                Some(None)
            })
            .await?;
        Ok(Deactivated { user_id: user_id.clone(), devices })
    }

    /// Deactivated accounts whose rooms have not been left yet, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn departing(&self, limit: usize) -> Result<Vec<Departing>, StoreError> {
        let scan = Scan::index::<Account>(Account::BY_DEPARTING, (true,), limit);
        let rows = self.engine.snapshot().await?.scan::<Account>(scan).await?;
        let departing = |row: Account| Departing {
            user_id: row.user_id,
            erase: if row.erase { Erase::Yes } else { Erase::No },
        };
        Ok(rows.into_iter().map(departing).collect())
    }

    /// The rooms of a deactivated account have been left.
    ///
    /// # Errors
    /// When there is no such account, or the store fails.
    pub async fn departed(&self, user_id: &OwnedUserId) -> Result<(), AccountError> {
        for _ in 0..ATTEMPTS {
            let found = self.engine.get_now::<Account>(&(user_id.clone(),)).await?;
            let account = found.ok_or(AccountError::Unknown)?;
            let mut batch = self.batch(user_id.as_str());
            expect_account(&mut batch, &account);
            batch.put(&Account { departing: false, version: account.version + 1, ..account });
            if self.commit(batch, user_id).await? == Applied::Yes {
                return Ok(());
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Changes an account that is not deactivated, and writes who did it into the audit log. `change` answers
    /// `Some(keep)` when the sessions end, all but the one to keep. Those that fit end in the same commit, the others
    /// after it; answers which ended.
    pub(crate) async fn change_account<'k>(
        &self,
        actor: &Actor,
        user_id: &OwnedUserId,
        act: Act,
        change: impl Fn(&mut Batch, &mut Account) -> Option<Option<&'k OwnedDeviceId>>,
    ) -> Result<Vec<OwnedDeviceId>, AccountError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let found = snapshot.get::<Account>(&(user_id.clone(),)).await?;
            let account = found.filter(|account| account.deactivated_at.is_none());
            let mut account = account.ok_or(AccountError::Unknown)?;
            let first = snapshot.scan::<Device>(Device::of_user(user_id, None, ENDS_PER_COMMIT)).await?;
            drop(snapshot);

            let mut batch = self.batch(user_id.as_str());
            expect_account(&mut batch, &account);
            let ends = change(&mut batch, &mut account);
            account.version += 1;
            batch.put(&account);
            let mut ended: Vec<Device> = first;
            ended.retain(|device| ends.is_some_and(|keep| Some(&device.device_id) != keep));
            self.extend_ends(&mut batch, user_id, &ended).await?;
            self.record(&mut batch, actor, act, Some(user_id), None);
            batch.wake(Topic::user(user_id.as_str()));
            if self.commit(batch, user_id).await? == Applied::Yes {
                let mut ended: Vec<_> = ended.into_iter().map(|device| device.device_id).collect();
                if let Some(keep) = ends {
                    ended.extend(self.end_all(user_id, keep).await?);
                }
                return Ok(ended);
            }
        }
        Err(StoreError::Contended.into())
    }
}
