//! Logging in: with a password, or with a token from another session.

use std::time::Duration;

use bytes::Bytes;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{Account, LoginToken};
use myelin_store::{Batch, Reader, Snapshot};

use crate::account::password::{PasswordError, Verified};
use crate::audit::Actor;
use crate::auth::{ATTEMPTS, Applied};
use crate::session::token::{self, Kind};
use crate::session::{DeviceProblem, Issued, NewSession, OpenError, expect_account};
use crate::upstream::put_origin;
use crate::{Act, Auth, Identifier, Origin, StoreError};

/// An attempt to log in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The account, as the client named it.
    pub user: Identifier,
    /// The password.
    pub password: Secret<String>,
    /// The session wanted.
    pub session: NewSession,
    /// From where.
    pub origin: Origin,
}

/// Why a login failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such user, or another password: which, is nobody's business.
    #[error("the user name or the password is wrong")]
    Wrong,
    /// The login token is unknown, was used, or has expired.
    #[error("the login token is not valid")]
    Token,
    /// The password or the token is right, and the account is locked.
    #[error("the account is locked")]
    Locked,
    /// The password is right, and not enough: the account has a second factor, which only the pages ask for.
    #[error("the account has a second factor")]
    SecondFactor,
    /// Too many wrong passwords for this account.
    #[error("too many wrong passwords")]
    Limited(Duration),
    /// Too many passwords are being checked.
    #[error("the server is busy checking passwords")]
    Busy,
    /// It may be a password of the directory, which can't be asked.
    #[error("the directory can't be asked")]
    Directory,
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
            PasswordError::Directory => Self::Directory,
            PasswordError::Store(error) => Self::Store(error),
        }
    }
}

/// An account that somebody may log in to.
pub(crate) fn open_to_login(account: Option<Account>, otherwise: LoginError) -> Result<Account, LoginError> {
    match account.filter(|account| account.deactivated_at.is_none()) {
        Some(account) if account.locked_at.is_some() => Err(LoginError::Locked),
        Some(account) => Ok(account),
        None => Err(otherwise),
    }
}

impl Auth {
    /// Opens a session for whoever knows the password.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn login(&self, login: Login) -> Result<Issued, LoginError> {
        login.session.check()?;
        let Verified { account, first } =
            self.verify_password(&login.user, login.password, &login.origin).await?;
        let user_id = &account.user_id;
        for _ in 0..ATTEMPTS {
            let number = self.next_session().await?;
            let snapshot = self.engine.snapshot().await?;
            let account = snapshot.get::<Account>(&(user_id.clone(),)).await?;
            let account = open_to_login(account, LoginError::Wrong)?;
            if !self.first_stands(&*snapshot, user_id, &first).await? {
                // It was changed while it was being verified.
                return Err(LoginError::Wrong);
            }
            // A new password and a second factor raise the account's version: this expects what was read to stand.
            if self.factors_in(&*snapshot, user_id).await?.is_on() {
                return Err(LoginError::SecondFactor);
            }
            let batch = self.batch(user_id.as_str());
            if let Some(issued) =
                self.open_logged_in(batch, snapshot, &account, (&login.session, number, None)).await?
            {
                return Ok(issued);
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Opens a session for the bearer of a login token, which is used up by it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn login_by_token(&self, token: &str, session: &NewSession) -> Result<Issued, LoginError> {
        session.check()?;
        if !Kind::Login.fits(token) {
            return Err(LoginError::Token);
        }
        let key = (Bytes::copy_from_slice(&token::hash(token)),);
        for _ in 0..ATTEMPTS {
            let number = self.next_session().await?;
            let snapshot = self.engine.snapshot().await?;
            let found = snapshot.get::<LoginToken>(&key).await?;
            let token = found.filter(|token| token.expires_at > self.now()).ok_or(LoginError::Token)?;
            let account = snapshot.get::<Account>(&(token.user_id.clone(),)).await?;
            let account = open_to_login(account, LoginError::Token)?;
            let mut batch = self.batch(account.user_id.as_str());
            // Of two who bring the same token, one finds it gone.
            batch.expect_present::<LoginToken>(&key);
            batch.delete::<LoginToken>(&key);
            let session = (session, number, token.origin.as_deref());
            if let Some(issued) = self.open_logged_in(batch, snapshot, &account, session).await? {
                return Ok(issued);
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Opens the session and writes the login into the audit log; nothing where the account changed meanwhile. The snapshot ends
    /// before the commit.
    async fn open_logged_in(
        &self,
        mut batch: Batch,
        snapshot: Box<dyn Snapshot>,
        account: &Account,
        (session, number, origin): (&NewSession, i64, Option<&str>),
    ) -> Result<Option<Issued>, LoginError> {
        let user_id = &account.user_id;
        expect_account(&mut batch, account);
        let issued = self.open_session(&mut batch, &*snapshot, user_id, (session, number)).await?;
        drop(snapshot);
        put_origin(&mut batch, (user_id, &issued.device_id), origin);
        let device = Some(issued.device_id.to_string());
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::LogIn, Some(user_id), device);
        let applied = self.commit(batch, user_id).await?;
        Ok((applied == Applied::Yes).then_some(issued))
    }
}
