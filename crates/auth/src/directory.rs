//! Passwords of a directory (LDAP): who is in it logs in with the password that they have there, on the pages, by the legacy API
//! and where interactive authentication asks for one.
//!
//! Whose account somebody's entry is is kept as with a provider ([`crate::upstream`]), under an id that no provider has. A
//! directory that does not answer lets nobody in, and says so.

mod gone;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use myelin_runtime::Secret;
use myelin_store::schema::auth::Account;
use myelin_store::schema::upstream::UpstreamLink;
use myelin_store::{Reader, Snapshot};
use ruma::OwnedUserId;

use crate::account::password::PasswordError;
use crate::guesses::Attempted;
use crate::upstream::Person;
use crate::upstream::connect::MOST;
use crate::{
    Auth, EmailAddress, ExistingAccount, Identifier, Newcomers, RegisterError, StoreError, UpstreamError,
};

pub use self::gone::{LookError, Looked};

/// By what links to a directory are known; no provider may be called so.
pub const DIRECTORY: &str = "ldap";
/// The longest name and password that a directory is asked about, in bytes.
const MAX_BYTES: usize = 1024;

/// Who somebody is in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Where the entry is now: its distinguished name.
    pub place: String,
    /// By which they are known there for good, whatever they are called.
    pub id: String,
    /// The name that an account of theirs has.
    pub localpart: Option<String>,
    /// What they are called.
    pub display_name: Option<String>,
    /// An address of theirs.
    pub email: Option<String>,
}

/// The directory can't say. In plain words why, for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DirectoryDown(pub String);

/// A directory of people and their passwords. Bounded in time and in how much is asked at once.
pub trait Directory: Send + Sync + 'static {
    /// Who is called so; nobody where it is not clear who.
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<DirectoryEntry>, DirectoryDown>>;

    /// Whether it is the password of who is at that place. Where there is no place the directory is asked all the same, so that
    /// the answer takes as long, and it is not.
    fn fits<'a>(
        &'a self,
        place: Option<&'a str>,
        password: &'a Secret<String>,
    ) -> BoxFuture<'a, Result<bool, DirectoryDown>>;

    /// Whether who is known by this id for good is in it, and one of those who may log in. Where it is not clear they are.
    fn knows<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, DirectoryDown>>;
}

/// What becomes of who is in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryRules {
    /// What becomes of who has the name of an account.
    pub existing: ExistingAccount,
    /// Whether an account is made for who has none.
    pub sign_up: bool,
    /// Whether the account of who is gone from it is locked.
    pub lock_removed: bool,
}

/// A directory, and what becomes of who is in it.
pub(crate) struct Directories {
    directory: Arc<dyn Directory>,
    rules: DirectoryRules,
    missed: gone::Missed,
    /// Whether it could not be asked the last time.
    is_down: AtomicBool,
}

impl Directories {
    /// What the directory said. That it can't be asked is logged once, until it can be again.
    fn heard<T>(&self, answer: Result<T, DirectoryDown>) -> Result<T, DirectoryDown> {
        let was_down = self.is_down.swap(answer.is_err(), Ordering::Relaxed);
        match &answer {
            Ok(_) if was_down => tracing::info!("the directory can be asked again"),
            Err(DirectoryDown(problem)) if !was_down => {
                tracing::warn!(problem, "the directory can't be asked; nobody logs in with a password of it");
            }
            _ => {}
        }
        answer
    }
}

impl Auth {
    /// The same, with a directory whose people log in with their passwords there.
    #[must_use]
    pub fn with_directory(
        mut self,
        directory: Arc<dyn Directory>,
        newcomers: Arc<dyn Newcomers>,
        rules: DirectoryRules,
    ) -> Self {
        self.newcomers = Some(newcomers);
        self.directory = Some(Directories {
            directory,
            rules,
            missed: gone::Missed::default(),
            is_down: AtomicBool::new(false),
        });
        self
    }

    /// Whether a user is somebody of the directory.
    pub(crate) async fn is_of_directory(
        &self,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
    ) -> Result<bool, StoreError> {
        if self.directory.is_none() {
            return Ok(false);
        }
        let links = snapshot.scan::<UpstreamLink>(UpstreamLink::of_user(user_id, MOST)).await?;
        Ok(links.iter().any(|link| link.provider == DIRECTORY))
    }

    /// Whose account it is, by a password of the directory; nobody's where there is none, or it does not fit.
    pub(crate) async fn verify_in_directory(
        &self,
        identifier: &Identifier,
        password: &Secret<String>,
        attempted: &Attempted,
    ) -> Result<Option<(Account, String)>, PasswordError> {
        let Some(directories) = &self.directory else { return Ok(None) };
        let name = self.directory_name(identifier);
        // A bind without a password is nobody's, and succeeds for whomever it names (RFC 4513, section 5.1.2).
        let length = password.expose().len();
        if length == 0 || length > MAX_BYTES || name.is_empty() || name.len() > MAX_BYTES {
            return Ok(None);
        }
        let entry = directories.heard(directories.directory.find(name).await)?;
        let guess = match &entry {
            Some(entry) => self.may_guess_in_directory(entry, attempted).await?,
            None => None,
        };
        let place = entry.as_ref().filter(|_| guess.is_some()).map(|entry| entry.place.as_str());
        let fits = directories.heard(directories.directory.fits(place, password).await)?;
        let (Some(entry), Some(guess)) = (entry, guess) else { return Ok(None) };
        if !fits {
            self.guessed(&guess, false);
            return Ok(None);
        }
        let person = person_of(entry);
        match self.account_in_directory(directories, &person).await {
            Ok(user_id) => {
                let Some(user_id) = user_id else { return Ok(None) };
                let account = self.engine.get_now::<Account>(&(user_id,)).await?;
                let account = account.filter(|account| account.deactivated_at.is_none());
                Ok(account.map(|account| (account, person.subject)))
            }
            Err(UpstreamError::Store(error)) => Err(PasswordError::Store(error)),
            Err(error) => {
                tracing::warn!(%error, subject = person.subject, "somebody of the directory has no account here");
                Ok(None)
            }
        }
    }

    /// How a guess at an entry's password is counted, beside what is counted for the name that was typed: a directory finds
    /// somebody by many spellings (RFC 4518), and one account of this server may have another's name there. None where there
    /// were too many.
    async fn may_guess_in_directory(
        &self,
        entry: &DirectoryEntry,
        attempted: &Attempted,
    ) -> Result<Option<Attempted>, StoreError> {
        let key = (DIRECTORY.to_owned(), entry.id.clone());
        let link = self.engine.get_now::<UpstreamLink>(&key).await?;
        let owner = link.map(|link| link.user_id.to_string());
        let guess = attempted.at(format!("{DIRECTORY}:{}", entry.id), owner.as_deref());
        Ok(self.may_try(&guess).is_ok().then_some(guess))
    }

    async fn account_in_directory(
        &self,
        directories: &Directories,
        person: &Person,
    ) -> Result<Option<OwnedUserId>, UpstreamError> {
        if let Some(user_id) = self.linked(person).await? {
            return Ok(Some(user_id));
        }
        let Some(name) = &person.localpart else { return Err(UpstreamError::NoAccount) };
        match self.available(name).await {
            Ok(user_id) if directories.rules.sign_up => {
                match self.create_by_provider(user_id, person).await {
                    // Of two first logins at once, one makes the account.
                    Err(UpstreamError::Register(RegisterError::Taken)) => self.linked(person).await,
                    made => made.map(Some),
                }
            }
            Err(RegisterError::Taken) if directories.rules.existing == ExistingAccount::Theirs => {
                self.connect_by_name(name, person).await
            }
            Err(error) => Err(error.into()),
            Ok(_) => Err(UpstreamError::NoAccount),
        }
    }

    /// What a directory knows somebody by who types this: of a user id of this server the name.
    fn directory_name<'i>(&self, identifier: &'i Identifier) -> &'i str {
        let (Identifier::User(typed) | Identifier::Email(typed)) = identifier;
        let own = typed.strip_prefix('@').and_then(|rest| rest.split_once(':'));
        match own {
            Some((name, server)) if server == self.config.server_name.as_str() => name,
            _ => typed,
        }
    }
}

fn person_of(entry: DirectoryEntry) -> Person {
    let email = entry.email.as_deref().and_then(EmailAddress::parse).map(|email| email.as_str().to_owned());
    Person {
        provider: DIRECTORY.to_owned(),
        subject: entry.id,
        origin: format!("{DIRECTORY}:"),
        called: entry.localpart.clone(),
        localpart: entry.localpart,
        display_name: entry.display_name,
        email,
        shown_at: 0,
    }
}
