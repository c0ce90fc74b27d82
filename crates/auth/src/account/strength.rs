//! How easily a password is guessed (zxcvbn), and whether it is among those that were stolen elsewhere and are known since.

use futures_util::future::BoxFuture;
use myelin_runtime::{PoolBusy, Secret};
use ruma::UserId;
use sha1::{Digest, Sha1};
use zxcvbn::feedback::{Feedback, Warning};
use zxcvbn::zxcvbn;

use super::password::{Chooser, PasswordProblem, check_choice};
use crate::Auth;

/// Why a password is easily guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// Many people use it, or one like it.
    Common,
    /// It is a word, perhaps with letters changed for others.
    Word,
    /// It is a name: the person's own, or one that many have.
    Name,
    /// It is a row or a pattern of keys.
    Keys,
    /// It repeats itself.
    Repeats,
    /// It is a sequence, such as `abc` or `6543`.
    Sequence,
    /// It is a date or a year.
    Date,
    /// It is too simple on the whole.
    Simple,
}

impl Guess {
    const fn of(warning: Option<Warning>) -> Self {
        match warning {
            Some(
                Warning::StraightRowsOfKeysAreEasyToGuess | Warning::ShortKeyboardPatternsAreEasyToGuess,
            ) => Self::Keys,
            Some(
                Warning::RepeatsLikeAaaAreEasyToGuess
                | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess,
            ) => Self::Repeats,
            Some(
                Warning::ThisIsATop10Password
                | Warning::ThisIsATop100Password
                | Warning::ThisIsACommonPassword
                | Warning::ThisIsSimilarToACommonlyUsedPassword,
            ) => Self::Common,
            Some(Warning::SequencesLikeAbcAreEasyToGuess) => Self::Sequence,
            Some(Warning::RecentYearsAreEasyToGuess | Warning::DatesAreOftenEasyToGuess) => Self::Date,
            Some(Warning::AWordByItselfIsEasyToGuess) => Self::Word,
            Some(
                Warning::NamesAndSurnamesByThemselvesAreEasyToGuess
                | Warning::CommonNamesAndSurnamesAreEasyToGuess,
            ) => Self::Name,
            None => Self::Simple,
        }
    }

    /// As the end of a sentence that begins with the password.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::Common => "many people use it or one like it",
            Self::Word => "it is a single word",
            Self::Name => "it is a name",
            Self::Keys => "it is a pattern of keys",
            Self::Repeats => "it repeats itself",
            Self::Sequence => "it is a sequence such as abc or 6543",
            Self::Date => "it is a date or a year",
            Self::Simple => "it is too simple",
        }
    }
}

/// The SHA-1 of a password, as lists of stolen ones have it. It is no secret that protects anything: who sees it can try
/// guesses as fast as they can hash, so it stays in the process as a whole.
#[derive(Clone)]
pub struct PasswordDigest(pub [u8; 20]);

impl std::fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordDigest(..)")
    }
}

/// A list of passwords that were stolen somewhere.
pub trait BreachedPasswords: Send + Sync + 'static {
    /// Whether this one is on it.
    ///
    /// # Errors
    /// Why nobody knows; the password is taken then.
    fn contains<'a>(&'a self, digest: &'a PasswordDigest) -> BoxFuture<'a, Result<bool, String>>;
}

/// Why a password that somebody chose is not taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    Problem(PasswordProblem),
    Busy,
}

impl From<PoolBusy> for NotTaken {
    fn from(PoolBusy: PoolBusy) -> Self {
        Self::Busy
    }
}

impl Auth {
    /// The same, with a list of stolen passwords, on which no password may be that a user chooses.
    #[must_use]
    pub fn with_breached_passwords(mut self, list: std::sync::Arc<dyn BreachedPasswords>) -> Self {
        self.breached = Some(list);
        self
    }

    /// Checks a password that somebody chose for an account. What operators choose need only not be empty.
    pub(crate) async fn check_password(
        &self,
        user_id: &UserId,
        password: &Secret<String>,
        chooser: Chooser,
    ) -> Result<(), NotTaken> {
        check_choice(password, chooser, self.config.min_password_chars).map_err(NotTaken::Problem)?;
        if chooser == Chooser::Operator {
            return Ok(());
        }
        let least = self.config.min_password_score;
        if least > 0 {
            let (localpart, host) = (user_id.localpart().to_owned(), user_id.server_name().to_string());
            let chosen = password.clone();
            let judged = self.env.cpu.run(move || judge(chosen.expose(), &[&localpart, &host])).await?;
            if judged.0 < least {
                return Err(NotTaken::Problem(PasswordProblem::Guessable(judged.1)));
            }
        }
        if self.is_breached(password).await {
            return Err(NotTaken::Problem(PasswordProblem::Breached));
        }
        Ok(())
    }

    async fn is_breached(&self, password: &Secret<String>) -> bool {
        let Some(list) = &self.breached else { return false };
        let digest = PasswordDigest(Sha1::digest(password.expose().as_bytes()).into());
        list.contains(&digest).await.unwrap_or_else(|why| {
            tracing::warn!(why, "nobody could say whether a password was stolen; it is taken");
            false
        })
    }
}

/// How hard it is to guess, from 0 to 4, and what makes it easy.
fn judge(password: &str, about: &[&str]) -> (u8, Guess) {
    let judged = zxcvbn(password, about);
    let warning = judged.feedback().and_then(Feedback::warning);
    (u8::from(judged.score()), Guess::of(warning))
}

#[cfg(test)]
mod tests {
    use super::{Guess, judge};

    #[test]
    fn what_is_guessed_first_scores_low_and_is_told_why() {
        for (password, guess) in [
            ("password", Guess::Common),
            ("P@ssw0rd1", Guess::Common),
            ("qwertzuiop", Guess::Common),
            ("aaaaaaaaaaaa", Guess::Repeats),
            ("abcabcabcabc", Guess::Repeats),
            ("abcdefghijklm", Guess::Sequence),
            ("1997-04-12", Guess::Date),
        ] {
            let (score, why) = judge(password, &[]);
            assert!(score < 2, "{password}: {score}");
            assert_eq!(why, guess, "{password}");
        }
        assert!(judge("alicewonder42", &[]).0 > judge("alicewonder42", &["alicewonder42"]).0);
        assert_eq!(judge("correct horse battery staple", &[]).0, 4);
        assert!(judge("Rain on 3 tin roofs", &["alice"]).0 >= 3);
        assert!(judge(&"x7!".repeat(1_000), &[]).0 <= 4, "as long as it may be");
    }
}
