//! Signing in on the pages in two steps: the password, then a code.
//!
//! Who has shown the password and nothing else is known by a sealed cookie; nothing is stored for them. It is good for ten
//! minutes and for the password, or the account at a provider, that was shown.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use myelin_oauth_core::factor::totp::{TotpCode, check};
use myelin_oauth_core::factor::{Typed, recovery::RecoveryCode as Code};
use myelin_runtime::Secret;
use myelin_store::schema::auth::{Account, Password};
use myelin_store::schema::factors::{RecoveryCode, Totp};
use myelin_store::schema::upstream::UpstreamLink;
use myelin_store::{Batch, Reader, Snapshot};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use super::notice::Change;
use super::{recovery, totp};
use crate::auth::ATTEMPTS;
use crate::directory::DIRECTORY;
use crate::oauth::{How, There, is_usable};
use crate::session::token;
use crate::{Act, Actor, Auth, NewBrowser, Origin, StoreError};

/// What the cookie is sealed for.
const PURPOSE: &str = "half signed in";
/// How long the second step may take, in milliseconds.
const LIFETIME: i64 = 10 * 60_000;

/// Where the password leads.
#[derive(Clone, Debug)]
pub enum SignIn {
    /// They are signed in.
    Done(NewBrowser),
    /// A second step is asked for.
    Half(NewHalf),
}

/// What the browser of who is half signed in keeps.
#[derive(Clone, Debug)]
pub struct NewHalf {
    /// What its cookie holds.
    pub cookie: Secret<String>,
    /// How long it is good, in seconds.
    pub lifetime: i64,
}

/// Who has shown their password and is asked for the second step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfSignedIn {
    /// Whose password it is.
    pub user_id: OwnedUserId,
    /// What they have shown.
    pub(crate) first: First,
}

/// The first step. It is good while what was shown is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum First {
    /// A password: what the store keeps of it, hashed.
    Password([u8; 32]),
    /// A password of the directory, in which they are known by this.
    Directory(String),
    /// That they are somebody at a provider, who is connected to the account.
    Provider { provider: String, subject: String, origin: String, shown_at: i64 },
}

impl First {
    pub(crate) fn of(password: &Password) -> Self {
        Self::Password(token::hash(&password.hash))
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Password(_) => "password",
            Self::Directory(_) => DIRECTORY,
            Self::Provider { provider, .. } => provider,
        }
    }

    fn there(&self) -> Option<There<'_>> {
        match self {
            Self::Password(_) | Self::Directory(_) => None,
            Self::Provider { origin, shown_at, .. } => Some(There { origin, shown_at: *shown_at }),
        }
    }
}

/// What the cookie holds.
#[derive(Serialize, Deserialize)]
struct Held {
    until: i64,
    user_id: OwnedUserId,
    first: First,
}

/// Why the second step leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum SecondStepError {
    /// The code is wrong, or was used.
    #[error("the code is wrong")]
    Wrong,
    /// The first step is no good any more: the password has changed, or the account can't be used.
    #[error("the first step must be repeated")]
    Ended,
    /// Too many wrong ones; how long to wait.
    #[error("too many wrong codes")]
    Limited(Duration),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<myelin_store::ReadError> for SecondStepError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl Auth {
    /// The half of signing in that the first step is.
    pub(crate) fn half(&self, user_id: &OwnedUserId, first: First) -> Result<NewHalf, StoreError> {
        let until = self.now().saturating_add(LIFETIME);
        let held = Held { until, user_id: user_id.clone(), first };
        let content = serde_json::to_vec(&held).map_err(|_| StoreError::Unsealable)?;
        let sealed = self.sealer.seal(PURPOSE, "", &content).ok_or(StoreError::Unsealable)?;
        Ok(NewHalf { cookie: Secret::new(URL_SAFE_NO_PAD.encode(sealed)), lifetime: LIFETIME / 1_000 })
    }

    /// Who is half signed in by this cookie.
    #[must_use]
    pub fn half_signed_in(&self, cookie: &str) -> Option<HalfSignedIn> {
        let opened = self.sealer.open(PURPOSE, "", &URL_SAFE_NO_PAD.decode(cookie).ok()?)?;
        let Held { until, user_id, first } = serde_json::from_slice(opened.expose()).ok()?;
        (until > self.now()).then_some(HalfSignedIn { user_id, first })
    }

    /// The second step: a code of the app, or a recovery code.
    ///
    /// # Errors
    /// Why they are not signed in.
    pub async fn sign_in_by_code(
        &self,
        half: &HalfSignedIn,
        text: &str,
        origin: &Origin,
    ) -> Result<NewBrowser, SecondStepError> {
        let user_id = &half.user_id;
        self.check_second(user_id).map_err(SecondStepError::Limited)?;
        // What can be no code is no guess.
        let typed = Typed::parse(text).ok_or(SecondStepError::Wrong)?;
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let account = self.still(&*snapshot, half).await?.ok_or(SecondStepError::Ended)?;
            let mut batch = self.batch(user_id.as_str());
            let good = match &typed {
                Typed::Totp(code) => self.use_totp(&*snapshot, &mut batch, user_id, code).await?,
                Typed::Recovery(code) => self.use_recovery(&*snapshot, &mut batch, user_id, code).await?,
            };
            drop(snapshot);
            if !good {
                self.count_second(user_id);
                self.note_wrong(user_id).await?;
                return Err(SecondStepError::Wrong);
            }
            let second = if matches!(typed, Typed::Totp(_)) { "totp" } else { "recovery_code" };
            let how = format!("{} {second}", half.first.name());
            let how = How { name: &how, there: half.first.there() };
            if let Some(browser) = self.open_browser(batch, &account, origin, how).await? {
                if matches!(typed, Typed::Recovery(_)) {
                    self.tell(user_id, Change::RecoveryCodeUsed).await;
                }
                return Ok(browser);
            }
        }
        Err(StoreError::Contended.into())
    }

    /// The account, if the first step still stands.
    pub(super) async fn still(
        &self,
        snapshot: &dyn Snapshot,
        half: &HalfSignedIn,
    ) -> Result<Option<Account>, SecondStepError> {
        let key = (half.user_id.clone(),);
        let account = snapshot.get::<Account>(&key).await?.filter(is_usable);
        let stands = self.first_stands(snapshot, &half.user_id, &half.first).await?;
        Ok(account.filter(|_| stands))
    }

    /// Whether what was shown in the first step is still so.
    pub(crate) async fn first_stands(
        &self,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
        first: &First,
    ) -> Result<bool, StoreError> {
        let link = match first {
            First::Password(hash) => {
                let password = snapshot.get::<Password>(&(user_id.clone(),)).await?;
                return Ok(password.is_some_and(|password| token::hash(&password.hash) == *hash));
            }
            First::Directory(subject) => (DIRECTORY.to_owned(), subject.clone()),
            First::Provider { provider, subject, .. } => (provider.clone(), subject.clone()),
        };
        let link = snapshot.get::<UpstreamLink>(&link).await?;
        Ok(link.is_some_and(|link| link.user_id == *user_id))
    }

    /// Takes a code of the app; of two who bring the same one, one does.
    async fn use_totp(
        &self,
        snapshot: &dyn Snapshot,
        batch: &mut Batch,
        user_id: &OwnedUserId,
        code: &TotpCode,
    ) -> Result<bool, SecondStepError> {
        let key = (user_id.clone(),);
        let Some(row) = snapshot.get::<Totp>(&key).await? else { return Ok(false) };
        let Some(secret) = self.sealer.open(totp::PURPOSE, user_id.as_str(), &row.secret) else {
            tracing::error!(%user_id, "the secret of an authenticator app can't be opened: is secrets.key the one it was sealed with?");
            return Ok(false);
        };
        let Some(step) = check(secret.expose(), row.last_step, code, self.now()) else { return Ok(false) };
        batch.expect_column::<Totp>(&key, "last_step", &row.last_step);
        batch.put(&Totp { last_step: step, used_at: Some(self.now()), ..row });
        Ok(true)
    }

    /// Takes a recovery code; of two who bring the same one, one does.
    async fn use_recovery(
        &self,
        snapshot: &dyn Snapshot,
        batch: &mut Batch,
        user_id: &OwnedUserId,
        code: &Code,
    ) -> Result<bool, SecondStepError> {
        let key = recovery::key(user_id, code);
        let found = snapshot.get::<RecoveryCode>(&key).await?.is_some();
        if found {
            batch.expect_present::<RecoveryCode>(&key);
            batch.delete::<RecoveryCode>(&key);
        }
        Ok(found)
    }

    /// Writes into the audit log that somebody who knows the password showed a wrong code.
    async fn note_wrong(&self, user_id: &OwnedUserId) -> Result<(), StoreError> {
        let mut batch = self.batch(user_id.as_str());
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::SecondFactorWrong, Some(user_id), None);
        self.engine.commit(batch).await?;
        Ok(())
    }
}
