//! Making accounts.

mod flows;
pub(crate) mod invitation;
pub(crate) mod shared_secret;
pub(crate) mod token;

use myelin_runtime::{PoolBusy, Secret};
use myelin_store::schema::auth::{Account, EmailValidation, Password};
use myelin_store::{Batch, Reader, Snapshot};
use ruma::OwnedUserId;

use self::flows::{Asks, flows};
use crate::account::localpart::{NameProblem, new_user_id};
use crate::account::password::{Chooser, PasswordProblem};
use crate::account::strength::NotTaken;
use crate::audit::Actor;
use crate::auth::{ATTEMPTS, Applied};
use crate::session::OpenError;
use crate::upstream::Person;
use crate::{
    Act, Auth, DeviceProblem, Issued, NewSession, RegistrationMode, Stage, StoreError, ValidatedEmail,
};

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Whose it will be; from [`Auth::available`] or [`Auth::made_up_name`].
    pub user_id: OwnedUserId,
    /// The password; without one nobody can log in with a password.
    pub password: Option<Secret<String>>,
    /// Whether the user administers this server.
    pub is_admin: bool,
    /// What kind of user it is, where a tool tells.
    pub user_type: Option<String>,
    /// The registration token that is used up by it.
    pub registration_token: Option<String>,
    /// The invitation that is used up by it, which says whether the user administers the server.
    pub invitation: Option<Secret<String>>,
    /// The address that was confirmed for it.
    pub email: Option<ValidatedEmail>,
    /// The session to open at once, if any.
    pub session: Option<NewSession>,
    /// Who it is at a provider, where it is made by way of one.
    pub person: Option<Person>,
    /// Whether its user accepts the terms, in the versions of now.
    pub accepts_terms: bool,
}

impl NewAccount {
    /// An account with a password, and nothing else said.
    #[must_use]
    pub fn new(user_id: OwnedUserId, password: Secret<String>) -> Self {
        Self {
            user_id,
            password: Some(password),
            is_admin: false,
            user_type: None,
            registration_token: None,
            invitation: None,
            email: None,
            session: None,
            person: None,
            accepts_terms: false,
        }
    }

    /// An account of somebody who signs in at a provider.
    pub(crate) fn of_person(user_id: OwnedUserId, person: Person) -> Self {
        Self { password: None, person: Some(person), ..Self::new(user_id, Secret::new(String::new())) }
    }
}

/// An account that was made durable just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// The session, if one was wanted.
    pub session: Option<Issued>,
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Nobody can register here.
    #[error("registration is closed on this server")]
    Closed,
    /// The name can't be a user's.
    #[error(transparent)]
    Name(#[from] NameProblem),
    /// Somebody has the name, or had it.
    #[error("the user name is taken")]
    Taken,
    /// The password can't be taken.
    #[error(transparent)]
    Password(#[from] PasswordProblem),
    /// The device can't be named so.
    #[error(transparent)]
    Device(#[from] DeviceProblem),
    /// The registration token is unknown, used up or expired.
    #[error("the registration token is not valid")]
    Token,
    /// The e-mail address was confirmed, and belongs to an account meanwhile; or it was used for one already.
    #[error("the e-mail address belongs to an account already")]
    EmailInUse,
    /// Too many passwords are being hashed.
    #[error("the server is busy hashing passwords")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotTaken> for RegisterError {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Problem(problem) => problem.into(),
            NotTaken::Busy => Self::Busy,
        }
    }
}

impl From<PoolBusy> for RegisterError {
    fn from(PoolBusy: PoolBusy) -> Self {
        Self::Busy
    }
}

impl From<OpenError> for RegisterError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Device(problem) => Self::Device(problem),
            OpenError::Store(error) => Self::Store(error),
        }
    }
}

impl From<myelin_store::ReadError> for RegisterError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl Auth {
    /// The flows by which somebody may register.
    ///
    /// # Errors
    /// [`RegisterError::Closed`] where nobody may.
    pub fn registration_flows(&self) -> Result<Vec<Vec<Stage>>, RegisterError> {
        let config = &self.config;
        // Without password login nobody could log in again with the password that they choose.
        let is_open = config.legacy.registration
            && config.password_login
            && config.registration != RegistrationMode::Closed;
        if !is_open {
            return Err(RegisterError::Closed);
        }
        let flows = flows(Asks {
            token: config.registration == RegistrationMode::Token,
            email: config.email.required_to_register,
            sends_email: self.sends_email(),
            terms: !config.terms.is_empty(),
        });
        if flows.is_empty() { Err(RegisterError::Closed) } else { Ok(flows) }
    }

    /// The user id that an account of this name would have, if it is free now.
    ///
    /// # Errors
    /// Why it can't be had.
    pub async fn available(&self, name: &str) -> Result<OwnedUserId, RegisterError> {
        let user_id = new_user_id(name, &self.config.server_name)?;
        let found = self.engine.get_now::<Account>(&(user_id.clone(),)).await?;
        if found.is_some() { Err(RegisterError::Taken) } else { Ok(user_id) }
    }

    /// A user id for somebody who wants none in particular.
    ///
    /// # Errors
    /// When the server's name leaves no room for one.
    pub fn made_up_name(&self) -> Result<OwnedUserId, RegisterError> {
        Ok(new_user_id(&self.env.random.capitals(12), &self.config.server_name)?)
    }

    /// Makes an account. Of two who want one name, one gets it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn create_account(&self, actor: &Actor, new: NewAccount) -> Result<Created, RegisterError> {
        new.session.as_ref().map_or(Ok(()), NewSession::check)?;
        let hash = match &new.password {
            Some(password) => {
                self.check_password(&new.user_id, password, Chooser::from(actor)).await?;
                Some(self.hash(password.clone()).await?)
            }
            None => None,
        };
        let user_id = &new.user_id;
        for _ in 0..ATTEMPTS {
            let number = match &new.session {
                Some(_) => self.next_session().await?,
                None => 0,
            };
            let snapshot = self.engine.snapshot().await?;
            if snapshot.get::<Account>(&(user_id.clone(),)).await?.is_some() {
                return Err(RegisterError::Taken);
            }
            if let Some(email) = &new.email {
                self.check_unused(&*snapshot, email).await?;
            }
            let mut batch = self.batch(user_id.as_str());
            let is_admin = match &new.invitation {
                Some(shown) => self.use_invitation(&mut batch, &*snapshot, shown.expose()).await?,
                None => new.is_admin,
            };
            self.insert_account(&mut batch, &new, is_admin, hash.as_ref());
            if let Some(person) = &new.person {
                self.put_person(&mut batch, &*snapshot, user_id, person).await?;
            }
            if let Some(token) = &new.registration_token {
                self.use_registration_token(&mut batch, &*snapshot, token).await?;
            }
            let session = match &new.session {
                Some(session) => {
                    let session = (session, number);
                    Some(self.open_session(&mut batch, &*snapshot, user_id, session).await?)
                }
                None => None,
            };
            drop(snapshot);
            self.record(&mut batch, actor, Act::AccountCreate, Some(user_id), None);
            if self.commit(batch, user_id).await? == Applied::Yes {
                return Ok(Created { user_id: new.user_id, session });
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Whether a confirmed address is still free, and what it was confirmed in not used up.
    async fn check_unused(
        &self,
        snapshot: &dyn Snapshot,
        email: &ValidatedEmail,
    ) -> Result<(), RegisterError> {
        let session = snapshot.get::<EmailValidation>(&(email.sid.clone(),)).await?;
        let stands = session.is_some_and(|row| row.validated_at == Some(email.validated_at));
        let owner = self.owner_of(snapshot, &email.address).await?;
        if stands && owner.is_none() { Ok(()) } else { Err(RegisterError::EmailInUse) }
    }

    fn insert_account(&self, batch: &mut Batch, new: &NewAccount, is_admin: bool, hash: Option<&String>) {
        let now = self.now();
        let account = Account {
            user_id: new.user_id.clone(),
            created_at: now,
            is_admin,
            user_type: new.user_type.clone(),
            locked_at: None,
            suspended_at: None,
            deactivated_at: None,
            erase: false,
            departing: false,
            version: 1,
        };
        batch.insert(&account);
        if new.accepts_terms {
            self.put_terms(batch, &new.user_id, &self.config.terms);
        }
        if let Some(email) = &new.email {
            self.insert_email(batch, &account, email, true);
        }
        if let Some(hash) = hash {
            batch.put(&Password { user_id: new.user_id.clone(), hash: hash.clone(), changed_at: now });
        }
    }
}
