//! Authenticator apps: enrolling one, and removing it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use myelin_oauth_core::factor::totp::{Provisioning, SECRET, TotpCode, check, provisioning};
use myelin_runtime::Secret;
use myelin_store::schema::factors::Totp;
use ruma::OwnedUserId;

use super::SecondFactors;
use super::notice::Change;
use super::recovery::{delete_codes, shown};
use crate::{AccountError, Act, Actor, Auth, Browser, StoreError};

/// What a secret is sealed for.
pub(super) const PURPOSE: &str = "totp";
/// The same, before it was confirmed.
const ENROLMENT: &str = "totp enrolment";
/// How long somebody may take to set their app up, in milliseconds.
const LIFETIME: i64 = 30 * 60_000;

/// A secret that somebody takes into their app. It is not in the store before they have shown a code of it.
#[derive(Clone, Debug)]
pub struct TotpEnrolment {
    /// The secret as text and as a URI.
    pub provisioning: Provisioning,
    /// The secret, sealed for its user and for half an hour; it comes back with the code.
    pub sealed: String,
}

/// Why an app was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum TotpError {
    /// The code is not one of this secret, now.
    #[error("the code is wrong")]
    Code,
    /// That was too long ago, or was begun by somebody else.
    #[error("enrolling took too long")]
    Ended,
    /// The account could not be changed.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl From<myelin_store::ReadError> for TotpError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Account(error.into())
    }
}

impl Auth {
    /// A new secret for who is signed in.
    ///
    /// # Errors
    /// Where nothing can be sealed.
    pub fn begin_totp(&self, browser: &Browser) -> Result<TotpEnrolment, StoreError> {
        let secret: [u8; SECRET] = self.env.random.bytes();
        let until = self.now().saturating_add(LIFETIME).to_be_bytes();
        let sealed = self.sealer.seal(ENROLMENT, browser.user_id.as_str(), &[&until[..], &secret].concat());
        let sealed = sealed.ok_or(StoreError::Unsealable)?;
        let provisioning = self.provisioning(&secret, &browser.user_id).ok_or(StoreError::Unsealable)?;
        Ok(TotpEnrolment { provisioning, sealed: URL_SAFE_NO_PAD.encode(sealed) })
    }

    /// The same once more, for a page that is shown again; nothing where it has ended.
    #[must_use]
    pub fn resume_totp(&self, browser: &Browser, sealed: &str) -> Option<TotpEnrolment> {
        let secret = self.enrolled(browser, sealed)?;
        let provisioning = self.provisioning(secret.expose(), &browser.user_id)?;
        Some(TotpEnrolment { provisioning, sealed: sealed.to_owned() })
    }

    /// The app shows a code: from now on it is the account's, in place of one that was. Who was signed in elsewhere on the pages
    /// by the password alone is signed out. Answers the first recovery codes where there were none. That the user showed
    /// who they are is settled.
    ///
    /// # Errors
    /// Why not.
    pub async fn confirm_totp(
        &self,
        browser: &Browser,
        sealed: &str,
        code: &str,
    ) -> Result<Vec<Secret<String>>, TotpError> {
        let user_id = &browser.user_id;
        let secret = self.enrolled(browser, sealed).ok_or(TotpError::Ended)?;
        let code = TotpCode::parse(code).ok_or(TotpError::Code)?;
        let last_step = check(secret.expose(), -1, &code, self.now()).ok_or(TotpError::Code)?;
        let kept = self.sealer.seal(PURPOSE, user_id.as_str(), secret.expose());
        let kept = kept.ok_or(AccountError::Store(StoreError::Unsealable))?;
        let row = Totp {
            user_id: user_id.clone(),
            secret: Bytes::from(kept),
            last_step,
            added_at: self.now(),
            used_at: None,
        };
        let before = self.second_factors(browser).await.map_err(AccountError::Store)?;
        let codes = if before.recovery_codes == 0 { self.new_codes() } else { Vec::new() };
        self.change_account(&Actor::User(user_id.clone()), user_id, Act::TotpAdd, |batch, _| {
            batch.put(&row);
            if !codes.is_empty() {
                self.replace_codes(batch, user_id, &codes);
            }
            self.end_other_browsers(batch, browser);
            None
        })
        .await?;
        self.tell(user_id, Change::TotpAdded).await;
        Ok(shown(&codes))
    }

    /// Removes the app of who is signed in; the recovery codes go with the last second factor. That they showed who they are
    /// is settled.
    ///
    /// # Errors
    /// Why not.
    pub async fn remove_totp(&self, browser: &Browser) -> Result<(), AccountError> {
        let user_id = &browser.user_id;
        let left = SecondFactors { totp_added_at: None, ..self.second_factors(browser).await? };
        self.change_account(&Actor::User(user_id.clone()), user_id, Act::TotpRemove, |batch, _| {
            batch.delete::<Totp>(&(user_id.clone(),));
            if !left.is_on() {
                delete_codes(batch, user_id);
            }
            None
        })
        .await?;
        self.tell(user_id, Change::TotpRemoved).await;
        Ok(())
    }

    /// The secret that is being enrolled.
    fn enrolled(&self, browser: &Browser, sealed: &str) -> Option<Secret<Vec<u8>>> {
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let opened = self.sealer.open(ENROLMENT, browser.user_id.as_str(), &sealed)?;
        let (until, secret) = opened.expose().split_first_chunk()?;
        (i64::from_be_bytes(*until) > self.now()).then(|| Secret::new(secret.to_vec()))
    }

    fn provisioning(&self, secret: &[u8], user_id: &OwnedUserId) -> Option<Provisioning> {
        // A colon would part it from the name of the account.
        let called = self.config.service_name.as_ref().map(|name| name.replace(':', " "));
        let issuer = called.as_deref().unwrap_or(self.config.server_name.host());
        provisioning(secret, issuer, user_id.localpart())
    }
}
