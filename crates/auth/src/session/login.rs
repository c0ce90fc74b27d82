//! Logging in with a password.

use std::time::Duration;

use myelin_runtime::Secret;
use myelin_store::Reader;
use myelin_store::schema::auth::{Account, Password};

use crate::account::password::{PasswordError, Verified};
use crate::audit::Actor;
use crate::auth::{ATTEMPTS, Applied};
use crate::session::{DeviceProblem, Issued, NewSession, OpenError, expect_account};
use crate::{Auth, StoreError};

/// An attempt to log in.
#[derive(Clone, Debug)]
pub struct Login {
    /// A localpart or a whole user id, as the client sent it.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
    /// The session wanted.
    pub session: NewSession,
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such user, or another password: which, is nobody's business.
    #[error("the user name or the password is wrong")]
    Wrong,
    /// The password is right, and the account is locked.
    #[error("the account is locked")]
    Locked,
    /// Too many wrong passwords for this account.
    #[error("too many wrong passwords")]
    Limited(Duration),
    /// Too many passwords are being checked.
    #[error("the server is busy checking passwords")]
    Busy,
    /// The device can't be named so.
    #[error(transparent)]
    Device(#[from] DeviceProblem),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<OpenError> for LoginError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Device(problem) => Self::Device(problem),
            OpenError::Store(error) => Self::Store(error),
        }
    }
}

impl From<myelin_store::ReadError> for LoginError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl From<PasswordError> for LoginError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Wrong => Self::Wrong,
            PasswordError::Limited(wait) => Self::Limited(wait),
            PasswordError::Busy => Self::Busy,
            PasswordError::Store(error) => Self::Store(error),
        }
    }
}

impl Auth {
    /// Opens a session for whoever knows the password.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn login(&self, login: Login) -> Result<Issued, LoginError> {
        login.session.check()?;
        let Verified { account, password } = self.verify_password(&login.user, login.password).await?;
        let user_id = &account.user_id;
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let account = snapshot.get::<Account>(&(user_id.clone(),)).await?;
            let Some(account) = account.filter(|account| account.deactivated_at.is_none()) else {
                return Err(LoginError::Wrong);
            };
            if account.locked_at.is_some() {
                return Err(LoginError::Locked);
            }
            let current = snapshot.get::<Password>(&(user_id.clone(),)).await?;
            if current.is_none_or(|current| current.hash != password.hash) {
                // It was changed while it was being verified.
                return Err(LoginError::Wrong);
            }
            let mut batch = self.batch(user_id.as_str());
            // A new password raises the account's version, so that this expects the old one to be in force still.
            expect_account(&mut batch, &account);
            let issued = self.open_session(&mut batch, &*snapshot, user_id, &login.session).await?;
            drop(snapshot);
            let device = Some(issued.device_id.to_string());
            self.record(&mut batch, &Actor::User(user_id.clone()), "login", Some(user_id), device);
            if self.commit(batch, user_id).await? == Applied::Yes {
                return Ok(issued);
            }
        }
        Err(StoreError::Contended.into())
    }
}
