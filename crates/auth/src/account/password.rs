//! Passwords: argon2id on the bounded pool, at the same cost whether or not there is such a user.

use std::borrow::Cow;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use myelin_runtime::{PoolBusy, Secret};
use myelin_store::Reader;
use myelin_store::schema::auth::{Account, Password};

use super::localpart::meant;
use super::strength::Guess;
use crate::audit::Actor;
use crate::factor::second::First;
use crate::{Auth, DirectoryDown, EmailAddress, Origin, PasswordCost, StoreError};

/// The most bytes of a password.
const MAX_BYTES: usize = 1024;

/// Who chose a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chooser {
    /// The one who will use it.
    User,
    /// An operator or a tool of theirs, whom nobody need tell what is safe.
    Operator,
}

impl From<&Actor> for Chooser {
    fn from(actor: &Actor) -> Self {
        match actor {
            Actor::User(_) => Self::User,
            Actor::Operator | Actor::SharedSecret | Actor::Directory => Self::Operator,
        }
    }
}

/// By what somebody names the account that they want to log in to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// A localpart or a whole user id.
    User(String),
    /// An e-mail address that belongs to it.
    Email(String),
}

/// Why a password can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// Too short, or empty.
    #[error("the password is too short: it needs at least {least} characters")]
    Weak {
        /// How many characters it needs.
        least: usize,
    },
    /// Long enough, and easily guessed all the same.
    #[error("the password is easily guessed: {}", .0.told())]
    Guessable(Guess),
    /// On a list of passwords that were stolen somewhere.
    #[error("the password is known: it was stolen from another site")]
    Breached,
    /// Longer than a password need be.
    #[error("the password is too long: it may have 1024 bytes")]
    TooLong,
}

/// Checks a password that somebody chose. Of users it has this many characters at least.
pub(crate) fn check_choice(
    password: &Secret<String>,
    chooser: Chooser,
    min_chars: usize,
) -> Result<(), PasswordProblem> {
    let password = password.expose();
    let least = if chooser == Chooser::User { min_chars } else { 1 };
    if password.len() > MAX_BYTES {
        Err(PasswordProblem::TooLong)
    } else if password.chars().count() < least {
        Err(PasswordProblem::Weak { least })
    } else {
        Ok(())
    }
}

/// Why nobody's password was shown to be known.
#[derive(Debug)]
pub(crate) enum PasswordError {
    /// No such user, no password, or another one: the caller can't tell which.
    Wrong,
    /// Too many wrong ones; how long to wait.
    Limited(std::time::Duration),
    Busy,
    /// The directory can't say.
    Directory,
    Store(StoreError),
}

impl From<StoreError> for PasswordError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<myelin_store::ReadError> for PasswordError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl From<DirectoryDown> for PasswordError {
    fn from(_: DirectoryDown) -> Self {
        Self::Directory
    }
}

/// An account whose password was shown, as both were read.
pub(crate) struct Verified {
    pub(crate) account: Account,
    /// What was shown.
    pub(crate) first: First,
}

/// An account with a password of this server, as both were read.
struct Found {
    account: Account,
    password: Password,
}

impl Auth {
    /// Hashes a password.
    pub(crate) async fn hash(&self, password: Secret<String>) -> Result<String, PoolBusy> {
        let cost = self.config.password_cost;
        let salt: [u8; 16] = self.env.random.bytes();
        self.env.cpu.run(move || hash(&password, &salt, cost)).await?.ok_or(PoolBusy)
    }

    /// Whose password this is, given by what they log in, from where.
    pub(crate) async fn verify_password(
        &self,
        identifier: &Identifier,
        password: Secret<String>,
        origin: &Origin,
    ) -> Result<Verified, PasswordError> {
        let account = self.name_of(identifier).await?;
        let (Identifier::User(given) | Identifier::Email(given)) = identifier;
        let name = account.as_deref().unwrap_or(given);
        let allowed = self.may_guess(name, origin).await.map_err(PasswordError::Store)?;
        let attempted = allowed.map_err(PasswordError::Limited)?;
        let found = match &account {
            Some(name) => self.find_password(name).await?,
            None => None,
        };
        let found = found.filter(|_| self.config.password_login);
        let stored = to_check(found.as_ref(), self.config.password_cost);
        let shown = password.clone();
        let matches = self.env.cpu.run(move || verify(&shown, &stored)).await;
        let verified = match (matches, found) {
            (Ok(true), Some(Found { account, password })) => {
                Some(Verified { account, first: First::of(&password) })
            }
            (Ok(_), _) => {
                let found = self.verify_in_directory(identifier, &password, &attempted).await?;
                found.map(|(account, subject)| Verified { account, first: First::Directory(subject) })
            }
            (Err(PoolBusy), _) => return Err(PasswordError::Busy),
        };
        self.guessed(&attempted, verified.is_some());
        verified.ok_or(PasswordError::Wrong)
    }

    /// The name of the account that is meant; none for an address that belongs to nobody.
    async fn name_of<'a>(&self, identifier: &'a Identifier) -> Result<Option<Cow<'a, str>>, PasswordError> {
        let address = match identifier {
            Identifier::User(name) => return Ok(Some(name.into())),
            Identifier::Email(address) => address,
        };
        let Some(address) = EmailAddress::parse(address) else { return Ok(None) };
        let snapshot = self.engine.snapshot().await?;
        let owner = self.owner_of(&*snapshot, address.as_str()).await.map_err(PasswordError::Store)?;
        Ok(owner.map(|owner| owner.to_string().into()))
    }

    async fn find_password(&self, name: &str) -> Result<Option<Found>, PasswordError> {
        let keys: Vec<_> =
            meant(name, &self.config.server_name).into_iter().map(|user_id| (user_id,)).collect();
        let snapshot = self.engine.snapshot().await?;
        let accounts = snapshot.get_all::<Account>(&keys).await?;
        let passwords = snapshot.get_all::<Password>(&keys).await?;
        // The first account that exists is the one meant, whether or not it has a password.
        let first =
            accounts.into_iter().zip(passwords).find_map(|(account, password)| Some((account?, password)));
        let Some((account, Some(password))) = first else { return Ok(None) };
        Ok(account.deactivated_at.is_none().then_some(Found { account, password }))
    }
}

fn hash(password: &Secret<String>, salt: &[u8], cost: PasswordCost) -> Option<String> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None).ok()?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = hasher.hash_password_with_salt(password.expose().as_bytes(), salt).ok()?;
    Some(hash.to_string())
}

/// Whether the password is the one that was hashed; the cost is that of the stored hash.
fn verify(password: &Secret<String>, stored: &str) -> bool {
    Argon2::default().verify_password(password.expose().as_bytes(), stored).is_ok()
}

/// The hash that a password is checked against: the user's, or where there is none the decoy, so that an answer takes
/// as long whether or not somebody has the name.
fn to_check(found: Option<&Found>, cost: PasswordCost) -> String {
    found.map_or_else(|| decoy(cost), |found| found.password.hash.clone())
}

/// A hash that no password has and that costs as much to refuse as a real one: 16 bytes of salt and 32 of output,
/// all zero.
fn decoy(cost: PasswordCost) -> String {
    let PasswordCost { memory_kib, passes, lanes } = cost;
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${output}")
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::phc::PasswordHash;
    use myelin_runtime::Secret;

    use super::{Chooser, PasswordProblem, check_choice, hash, to_check, verify};
    use crate::PasswordCost;

    const CHEAP: PasswordCost = PasswordCost { memory_kib: 64, passes: 1, lanes: 1 };

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn only_the_same_password_verifies() {
        let stored = hash(&secret("correct horse"), &[7; 16], CHEAP).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
        assert!(verify(&secret("correct horse"), &stored));
        assert!(!verify(&secret("correct horsf"), &stored));
        assert!(!verify(&secret(""), &stored));
        assert!(!verify(&secret("correct horse"), "$2b$12$not.argon"), "an unreadable hash fits nothing");
    }

    #[test]
    fn an_unknown_user_costs_as_much_to_refuse_as_a_known_one() {
        let decoy = to_check(None, PasswordCost::OWASP);
        let real = hash(&secret("correct horse"), &[7; 16], PasswordCost::OWASP).unwrap();
        let (decoy, real) = (PasswordHash::new(&decoy).unwrap(), PasswordHash::new(&real).unwrap());
        assert_eq!(decoy.params, real.params);
        assert_eq!((decoy.algorithm, decoy.version), (real.algorithm, real.version));
        assert_eq!(decoy.hash.unwrap().len(), real.hash.unwrap().len());
    }

    #[test]
    fn a_choice_is_bounded_on_both_sides() {
        let user = |text: &str| check_choice(&secret(text), Chooser::User, 8);
        assert_eq!(user("1234567"), Err(PasswordProblem::Weak { least: 8 }));
        assert_eq!(user("ünicödé8"), Ok(()));
        assert_eq!(user(&"x".repeat(1025)), Err(PasswordProblem::TooLong));
        assert_eq!(check_choice(&secret("x"), Chooser::Operator, 8), Ok(()));
        assert_eq!(check_choice(&secret(""), Chooser::Operator, 8), Err(PasswordProblem::Weak { least: 1 }));
    }
}
