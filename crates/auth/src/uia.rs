//! User-interactive authentication (<https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api>).
//!
//! A session of it lives in memory, for an hour at most: nothing about it was acknowledged, and a client that loses
//! one repeats a question. It belongs to one operation of one requester, with the parameters it began with where the
//! operation says so.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use myelin_model::Requester;
use myelin_runtime::Secret;
use ruma::OwnedUserId;
use sha2::{Digest, Sha256};

use crate::account::password::PasswordError;
use crate::{Auth, StoreError};

/// How long a session is remembered.
const LIFETIME: Duration = Duration::from_secs(3600);
/// How many are remembered; past that the oldest go.
const CAPACITY: usize = 10_000;

/// One step of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The requester's password.
    Password,
    /// Nothing at all.
    Dummy,
    /// A registration token.
    RegistrationToken,
}

impl Stage {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "m.login.password",
            Self::Dummy => "m.login.dummy",
            Self::RegistrationToken => "m.login.registration_token",
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
    pub flows: &'static [&'static [Stage]],
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
    /// A password, and whose it is (a localpart or a user id).
    Password {
        /// Whose.
        user: String,
        /// The password.
        password: Secret<String>,
    },
    /// Nothing.
    Dummy,
    /// A registration token.
    RegistrationToken(String),
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
    pub flows: &'static [&'static [Stage]],
    /// What has been passed.
    pub completed: Vec<Stage>,
    /// Why the attempt did not pass, if there was one.
    pub refusal: Option<Refusal>,
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
}

#[derive(Clone, Debug)]
struct UiaSession {
    binding: [u8; 32],
    begun: Duration,
    completed: Vec<Stage>,
    registration_token: Option<String>,
}

/// The sessions in memory.
#[derive(Debug, Default)]
pub(crate) struct UiaSessions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sessions: HashMap<String, UiaSession>,
    /// Oldest first; may name sessions that are finished.
    order: VecDeque<(Duration, String)>,
}

impl UiaSessions {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, id: String, session: UiaSession) {
        let mut table = self.table();
        table.forget_old(session.begun);
        table.order.push_back((session.begun, id.clone()));
        table.sessions.insert(id, session);
    }

    fn get(&self, id: &str, now: Duration) -> Option<UiaSession> {
        let mut table = self.table();
        table.forget_old(now);
        table.sessions.get(id).cloned()
    }

    fn complete(&self, id: &str, stage: Stage, token: Option<String>) -> Option<UiaSession> {
        let mut table = self.table();
        let session = table.sessions.get_mut(id)?;
        if !session.completed.contains(&stage) {
            session.completed.push(stage);
        }
        session.registration_token = token.or(session.registration_token.take());
        Some(session.clone())
    }

    fn end(&self, id: &str) {
        self.table().sessions.remove(id);
    }

    /// How many sessions have shown this registration token and are not done.
    pub(crate) fn pending(&self, token: &str, now: Duration) -> i64 {
        let mut table = self.table();
        table.forget_old(now);
        let shown = |session: &&UiaSession| session.registration_token.as_deref() == Some(token);
        i64::try_from(table.sessions.values().filter(shown).count()).unwrap_or(i64::MAX)
    }
}

impl Table {
    fn forget_old(&mut self, now: Duration) {
        while let Some((begun, _)) = self.order.front() {
            if now.saturating_sub(*begun) < LIFETIME && self.order.len() < CAPACITY {
                return;
            }
            if let Some((_, id)) = self.order.pop_front() {
                self.sessions.remove(&id);
            }
        }
    }
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
        let Some(attempt) = attempt else {
            let (id, session) = self.begin_uia(operation);
            return Err(challenge(id, operation, session.completed, None));
        };
        let (id, session) = self.resume_uia(operation, attempt.session)?;
        let stage = match &attempt.credential {
            Credential::Password { .. } => Some(Stage::Password),
            Credential::Dummy => Some(Stage::Dummy),
            Credential::RegistrationToken(_) => Some(Stage::RegistrationToken),
            Credential::Acknowledge | Credential::Other => None,
        };
        let asked = matches!(attempt.credential, Credential::Acknowledge);
        let repeated = stage.is_some_and(|stage| session.completed.contains(&stage));
        if asked || repeated {
            return settle(id, operation, session);
        }
        let Some(stage) = stage.filter(|stage| is_next(operation, &session.completed, *stage)) else {
            return Err(challenge(id, operation, session.completed, Some(Refusal::Stage)));
        };
        let token = match self.pass(operation, attempt.credential).await? {
            Ok(token) => token,
            Err(refusal) => return Err(challenge(id, operation, session.completed, Some(refusal))),
        };
        let session = self.uia.complete(&id, stage, token.clone()).unwrap_or_else(|| {
            // It was pushed out meanwhile; what was shown just now still counts.
            let mut completed = session.completed.clone();
            completed.push(stage);
            UiaSession {
                completed,
                registration_token: token.or(session.registration_token.clone()),
                ..session
            }
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
            completed: Vec::new(),
            registration_token: None,
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
        operation: &Operation<'_>,
        credential: Credential,
    ) -> Result<Result<Option<String>, Refusal>, UiaError> {
        match credential {
            Credential::Password { user, password } => {
                let asks = operation.asks.map(|requester| &requester.user_id);
                let passed = self.pass_password(asks, &user, password).await?;
                Ok(if passed { Ok(None) } else { Err(Refusal::Password) })
            }
            Credential::Dummy => Ok(Ok(None)),
            Credential::RegistrationToken(token) => {
                let valid = self.registration_token_valid(&token).await?;
                Ok(if valid { Ok(Some(token)) } else { Err(Refusal::RegistrationToken) })
            }
            Credential::Acknowledge | Credential::Other => Ok(Err(Refusal::Stage)),
        }
    }

    async fn pass_password(
        &self,
        asks: Option<&OwnedUserId>,
        user: &str,
        password: Secret<String>,
    ) -> Result<bool, UiaError> {
        match self.verify_password(user, password).await {
            Ok(verified) if Some(&verified.account.user_id) == asks => Ok(true),
            Ok(_) => Err(UiaError::OtherUser),
            Err(PasswordError::Wrong) => Ok(false),
            Err(PasswordError::Limited(wait)) => Err(UiaError::Limited(wait)),
            Err(PasswordError::Busy) => Err(UiaError::Busy),
            Err(PasswordError::Store(error)) => Err(error.into()),
        }
    }
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

fn is_next(operation: &Operation<'_>, completed: &[Stage], stage: Stage) -> bool {
    let continues =
        |flow: &&[Stage]| flow.strip_prefix(completed).is_some_and(|rest| rest.first() == Some(&stage));
    operation.flows.iter().any(continues)
}

fn settle(id: String, operation: &Operation<'_>, session: UiaSession) -> Result<Passed, UiaError> {
    if operation.flows.contains(&session.completed.as_slice()) {
        Ok(Passed { session: id, registration_token: session.registration_token })
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
    UiaError::Challenge(Challenge { session, flows: operation.flows, completed, refusal })
}
