//! User-interactive authentication (<https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api>).
//!
//! A session of it lives in memory, for an hour at most: nothing about it was acknowledged, and a client that loses
//! one repeats a question. It belongs to one operation of one requester, with the parameters it began with where the
//! operation says so.

mod confirm;
pub(crate) mod page;
pub(crate) mod sessions;

use std::time::Duration;

use myelin_model::Requester;
use myelin_runtime::Secret;
use ruma::{OwnedDeviceId, OwnedUserId};
use sha2::{Digest, Sha256};

use self::confirm::ON_THE_PAGE;
use self::sessions::{Asks, Shown, UiaSession};
use crate::account::password::PasswordError;
use crate::{Auth, EmailCredentials, EmailPurpose, Identifier, Origin, StoreError, ValidatedEmail};

/// One step of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The requester's password.
    Password,
    /// Nothing at all.
    Dummy,
    /// A registration token.
    RegistrationToken,
    /// The operator's terms.
    Terms,
    /// An e-mail address that was confirmed for this.
    Email(EmailPurpose),
    /// An approval on the account page. Whether there is one is seen before anybody is asked; so no attempt passes it.
    Oauth,
    /// The same, by its name before MSC4312 was merged.
    OauthUnstable,
    /// Showing on a page that it is them, for who has no password: the page notes it, so no attempt passes it.
    Sso,
}

impl Stage {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "m.login.password",
            Self::Dummy => "m.login.dummy",
            Self::RegistrationToken => "m.login.registration_token",
            Self::Terms => "m.login.terms",
            Self::Email(_) => "m.login.email.identity",
            Self::Oauth => "m.oauth",
            Self::OauthUnstable => "org.matrix.cross_signing_reset",
            Self::Sso => "m.login.sso",
        }
    }
}

/// What is to be authenticated.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// Its name: a session of one operation is no good for another.
    pub name: &'static str,
    /// Who asks for it, if they have a session.
    pub asks: Option<&'a Requester>,
    /// What of the request must not change until it is authenticated; empty where all may, as clients that register
    /// ask for the flows before they know what to fill in.
    pub parameters: &'a [u8],
    /// The flows offered: stages, in their order.
    pub flows: &'a [&'a [Stage]],
}

/// What the client sent as `auth`.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The session it continues.
    pub session: Option<String>,
    /// What it shows.
    pub credential: Credential,
}

/// What a client shows to pass a stage.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A password, and whose it is.
    Password {
        /// Whose.
        user: Identifier,
        /// The password.
        password: Secret<String>,
    },
    /// Nothing.
    Dummy,
    /// That the terms are accepted.
    Terms,
    /// A registration token.
    RegistrationToken(String),
    /// The session in which an e-mail address was confirmed.
    Email(EmailCredentials),
    /// Only the session, to ask how far it got.
    Acknowledge,
    /// A type that this server does not know.
    Other,
}

/// What the client has to do before the operation is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The session to continue.
    pub session: String,
    /// The flows offered.
    pub flows: Vec<Vec<Stage>>,
    /// What has been passed.
    pub completed: Vec<Stage>,
    /// Why the attempt did not pass, if there was one.
    pub refusal: Option<Refusal>,
    /// The device that asks, where there is one.
    pub device_id: Option<OwnedDeviceId>,
}

/// Why a stage was not passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The wrong password.
    #[error("the user name or the password is wrong")]
    Password,
    /// The registration token is unknown, used up or expired.
    #[error("the registration token is not valid")]
    RegistrationToken,
    /// The e-mail address has not been confirmed in that session, or is of no use for this.
    #[error("the e-mail address has not been confirmed yet: open the link in the mail first")]
    Email,
    /// The stage is not the next of any flow.
    #[error("this stage is not the next of any flow offered")]
    Stage,
}

/// Why an operation may not go ahead yet.
#[derive(Debug, thiserror::Error)]
pub enum UiaError {
    /// The client must authenticate (further).
    #[error("authentication is needed")]
    Challenge(Challenge),
    /// The session belongs to another operation, requester or request.
    #[error("the session was begun for another request")]
    OtherRequest,
    /// The password is another user's.
    #[error("the user who authenticates is not the one who asks")]
    OtherUser,
    /// Too many wrong passwords.
    #[error("too many wrong passwords")]
    Limited(Duration),
    /// Too many passwords are being checked.
    #[error("the server is busy checking passwords")]
    Busy,
    /// It may be a password of the directory, which can't be asked.
    #[error("the directory can't be asked")]
    Directory,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Shows that an operation was authenticated. Given back with [`Auth::finish`] when it is done; until then the client
/// may try again with the same session, as when the name it wanted was taken.
#[derive(Clone, Debug)]
pub struct Passed {
    session: String,
    /// The registration token shown on the way.
    pub registration_token: Option<String>,
    /// The e-mail address confirmed for it.
    pub email: Option<ValidatedEmail>,
}

impl Auth {
    /// Lets an operation go ahead, or says what the client must do first.
    ///
    /// A session that is unknown, for instance because the server was started again, is begun anew with what the
    /// client shows: each request carries its credential, and the session only adds up stages.
    ///
    /// # Errors
    /// Why it may not go ahead yet.
    pub async fn interact(
        &self,
        operation: &Operation<'_>,
        attempt: Option<Attempt>,
    ) -> Result<Passed, UiaError> {
        let operation = &self.fitting(operation).await?;
        let Some(attempt) = attempt else {
            let (id, session) = self.begin_uia(operation);
            return Err(challenge(id, operation, session.completed, None));
        };
        let (id, session) = self.resume_uia(operation, attempt.session)?;
        let stage = stage_of(operation.flows, &attempt.credential);
        let asked = matches!(attempt.credential, Credential::Acknowledge);
        let repeated = stage.is_some_and(|stage| session.completed.contains(&stage));
        if asked || repeated {
            return settle(id, operation, session);
        }
        let Some(stage) = stage.filter(|stage| is_next(operation.flows, &session.completed, *stage)) else {
            return Err(challenge(id, operation, session.completed, Some(Refusal::Stage)));
        };
        let asks = operation.asks.map(Asks::from);
        let shown = match self.pass(asks.as_ref(), stage, attempt.credential).await? {
            Ok(shown) => shown,
            Err(refusal) => return Err(challenge(id, operation, session.completed, Some(refusal))),
        };
        let session = self.uia.complete(&id, stage, shown.clone()).unwrap_or_else(|| {
            // It was pushed out meanwhile; what was shown just now still counts.
            let mut session = session;
            session.pass(stage, shown);
            session
        });
        settle(id, operation, session)
    }

    /// The operation is done; its session ends.
    pub fn finish(&self, passed: &Passed) {
        self.uia.end(&passed.session);
    }

    fn begin_uia(&self, operation: &Operation<'_>) -> (String, UiaSession) {
        let session = UiaSession {
            binding: binding(operation),
            begun: self.env.clock.elapsed(),
            flows: operation.flows.iter().map(|flow| flow.to_vec()).collect(),
            asks: operation.asks.map(Asks::from),
            completed: Vec::new(),
            registration_token: None,
            email: None,
            waits: waits(operation),
            confirms: confirms(operation),
        };
        let id = self.env.random.alphanumeric(24);
        self.uia.begin(id.clone(), session.clone());
        (id, session)
    }

    fn resume_uia(
        &self,
        operation: &Operation<'_>,
        id: Option<String>,
    ) -> Result<(String, UiaSession), UiaError> {
        let found = id.and_then(|id| {
            let session = self.uia.get(&id, self.env.clock.elapsed())?;
            Some((id, session))
        });
        match found {
            Some((_, session)) if session.binding != binding(operation) => Err(UiaError::OtherRequest),
            Some(found) => Ok(found),
            None => Ok(self.begin_uia(operation)),
        }
    }

    /// Checks what is shown; the inner result is the client's business, the outer one the server's.
    async fn pass(
        &self,
        asks: Option<&Asks>,
        stage: Stage,
        credential: Credential,
    ) -> Result<Result<Shown, Refusal>, UiaError> {
        match credential {
            Credential::Password { user, password } => {
                let passed = self.pass_password(asks, &user, password).await?;
                Ok(if passed { Ok(Shown::Nothing) } else { Err(Refusal::Password) })
            }
            Credential::Dummy | Credential::Terms => Ok(Ok(Shown::Nothing)),
            Credential::RegistrationToken(token) => {
                let valid = self.registration_token_valid(&token).await?;
                Ok(if valid { Ok(Shown::RegistrationToken(token)) } else { Err(Refusal::RegistrationToken) })
            }
            Credential::Email(credentials) => {
                let email = self.pass_email(stage, &credentials).await?;
                Ok(email.map(Shown::Email).ok_or(Refusal::Email))
            }
            Credential::Acknowledge | Credential::Other => Ok(Err(Refusal::Stage)),
        }
    }

    /// The address that was confirmed for this stage; for a new password it must belong to an account.
    async fn pass_email(
        &self,
        stage: Stage,
        credentials: &EmailCredentials,
    ) -> Result<Option<ValidatedEmail>, UiaError> {
        let Stage::Email(purpose) = stage else { return Ok(None) };
        let snapshot = self.engine.snapshot().await.map_err(StoreError::from)?;
        let Some(email) = self.validated(&*snapshot, purpose, credentials).await? else { return Ok(None) };
        let is_owned = self.owner_of(&*snapshot, &email.address).await?.is_some();
        Ok((is_owned || purpose != EmailPurpose::Reset).then_some(email))
    }

    async fn pass_password(
        &self,
        asks: Option<&Asks>,
        user: &Identifier,
        password: Secret<String>,
    ) -> Result<bool, UiaError> {
        let session = asks.map(|asks| (asks.user_id.clone(), asks.session));
        let origin = Origin { session, ..Origin::default() };
        let asks = asks.map(|asks| &asks.user_id);
        match self.verify_password(user, password, &origin).await {
            Ok(verified) if Some(&verified.account.user_id) == asks => Ok(true),
            Ok(_) => Err(UiaError::OtherUser),
            Err(PasswordError::Wrong) => Ok(false),
            Err(PasswordError::Limited(wait)) => Err(UiaError::Limited(wait)),
            Err(PasswordError::Busy) => Err(UiaError::Busy),
            Err(PasswordError::Directory) => Err(UiaError::Directory),
            Err(PasswordError::Store(error)) => Err(error.into()),
        }
    }
}

/// Who is to show on a page that it is them, and the device that asks, if that is what is asked for.
fn confirms(operation: &Operation<'_>) -> Option<(OwnedUserId, Option<OwnedDeviceId>)> {
    let requester = operation.asks.filter(|_| operation.flows == ON_THE_PAGE)?;
    Some((requester.user_id.clone(), requester.device_id.clone()))
}

/// The device that waits for its user's approval, if that is what is asked for.
fn waits(operation: &Operation<'_>) -> Option<(OwnedUserId, OwnedDeviceId)> {
    let is_approved = operation.flows.iter().any(|flow| flow.contains(&Stage::Oauth));
    let requester = operation.asks.filter(|_| is_approved)?;
    Some((requester.user_id.clone(), requester.device_id.clone()?))
}

/// What a session is bound to, in a form of fixed size.
fn binding(operation: &Operation<'_>) -> [u8; 32] {
    let owner = operation.asks.map(|requester| format!("{} {}", requester.user_id, requester.session));
    let mut hash = Sha256::new();
    for part in [operation.name.as_bytes(), owner.unwrap_or_default().as_bytes(), operation.parameters] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The stage that a credential is for; an address is confirmed for one purpose, which the flows say.
fn stage_of<F: AsRef<[Stage]>>(flows: &[F], credential: &Credential) -> Option<Stage> {
    match credential {
        Credential::Password { .. } => Some(Stage::Password),
        Credential::Dummy => Some(Stage::Dummy),
        Credential::Terms => Some(Stage::Terms),
        Credential::RegistrationToken(_) => Some(Stage::RegistrationToken),
        Credential::Email(_) => {
            let mut stages = flows.iter().flat_map(AsRef::as_ref);
            stages.find(|stage| matches!(stage, Stage::Email(_))).copied()
        }
        Credential::Acknowledge | Credential::Other => None,
    }
}

fn is_next<F: AsRef<[Stage]>>(flows: &[F], completed: &[Stage], stage: Stage) -> bool {
    let continues = |flow: &F| {
        let rest = flow.as_ref().strip_prefix(completed);
        rest.is_some_and(|rest| rest.first() == Some(&stage))
    };
    flows.iter().any(continues)
}

fn settle(id: String, operation: &Operation<'_>, session: UiaSession) -> Result<Passed, UiaError> {
    if operation.flows.contains(&session.completed.as_slice()) {
        let UiaSession { registration_token, email, .. } = session;
        Ok(Passed { session: id, registration_token, email })
    } else {
        Err(challenge(id, operation, session.completed, None))
    }
}

fn challenge(
    session: String,
    operation: &Operation<'_>,
    completed: Vec<Stage>,
    refusal: Option<Refusal>,
) -> UiaError {
    let device_id = operation.asks.and_then(|requester| requester.device_id.clone());
    let flows = operation.flows.iter().map(|flow| flow.to_vec()).collect();
    UiaError::Challenge(Challenge { session, flows, completed, refusal, device_id })
}
