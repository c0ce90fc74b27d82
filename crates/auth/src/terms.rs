//! The terms that people accept before they use an account: one record of it, whether they did on a page or by the legacy
//! API's `m.login.terms` (<https://spec.matrix.org/v1.19/client-server-api/#terms-of-service-at-registration>).

use myelin_store::schema::auth::TermsAccepted;
use myelin_store::{Batch, Reader, Scan, Snapshot};
use ruma::{OwnedUserId, UserId};

use crate::audit::Actor;
use crate::auth::{ATTEMPTS, Applied};
use crate::{Act, Auth, Browser, StoreError};

/// How many documents of one user's are looked at, which operators have had by and by.
const MOST: usize = 1_000;

/// A document that everybody accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// By which it is known, for good.
    pub id: String,
    /// Its version: who accepted another one is asked again.
    pub version: String,
    /// It in the languages that there are; at least one.
    pub texts: Vec<TermsText>,
}

/// A document that somebody accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedTerms {
    /// Its id.
    pub document: String,
    /// Which version of it.
    pub version: String,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
}

/// A document in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsText {
    /// The language's tag.
    pub language: String,
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub url: String,
}

impl Terms {
    /// It in this language, or else in English, or else in any.
    #[must_use]
    pub fn text(&self, language: &str) -> Option<&TermsText> {
        let of = |tag: &str| self.texts.iter().find(|text| text.language == tag);
        of(language).or_else(|| of("en")).or_else(|| self.texts.first())
    }
}

impl Auth {
    /// The documents that a user has still to accept.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn terms_due(&self, user_id: &OwnedUserId) -> Result<Vec<&Terms>, StoreError> {
        if self.config.terms.is_empty() {
            return Ok(Vec::new());
        }
        let snapshot = self.engine.snapshot().await?;
        self.terms_due_in(&*snapshot, user_id).await
    }

    /// The same of what is read already; where there are no terms, nothing is.
    pub(crate) async fn terms_due_in(
        &self,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
    ) -> Result<Vec<&Terms>, StoreError> {
        if self.config.terms.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> =
            self.config.terms.iter().map(|terms| (user_id.clone(), terms.id.clone())).collect();
        let rows = snapshot.get_all::<TermsAccepted>(&keys).await?;
        let all = self.config.terms.iter().zip(rows);
        let due = all.filter(|(terms, row)| row.as_ref().is_none_or(|row| row.version != terms.version));
        Ok(due.map(|(terms, _)| terms).collect())
    }

    /// What who is signed in has accepted, documents of before among them.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn accepted_terms(&self, browser: &Browser) -> Result<Vec<AcceptedTerms>, StoreError> {
        let scan = Scan::prefix::<TermsAccepted>((browser.user_id.clone(),), MOST);
        let rows = self.engine.snapshot().await?.scan::<TermsAccepted>(scan).await?;
        let accepted =
            |row: TermsAccepted| AcceptedTerms { document: row.document, version: row.version, at: row.at };
        Ok(rows.into_iter().map(accepted).collect())
    }

    /// Who is signed in accepts the documents of these versions, as they were shown; those that changed since are not.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn accept_terms(
        &self,
        browser: &Browser,
        shown: &[(String, String)],
    ) -> Result<(), StoreError> {
        let is_shown =
            |terms: &&Terms| shown.iter().any(|(id, version)| *id == terms.id && *version == terms.version);
        for _ in 0..ATTEMPTS {
            let due: Vec<_> = self.terms_due(&browser.user_id).await?.into_iter().filter(is_shown).collect();
            if due.is_empty() {
                return Ok(());
            }
            let mut batch = self.batch(browser.user_id.as_str());
            self.put_terms(&mut batch, &browser.user_id, due.iter().copied());
            let told: Vec<_> = due.iter().map(|terms| format!("{} {}", terms.id, terms.version)).collect();
            let actor = Actor::User(browser.user_id.clone());
            self.record(&mut batch, &actor, Act::TermsAccept, Some(&browser.user_id), Some(told.join(", ")));
            if self.commit(batch, &browser.user_id).await? == Applied::Yes {
                return Ok(());
            }
        }
        Err(StoreError::Contended)
    }

    pub(crate) fn put_terms<'t>(
        &self,
        batch: &mut Batch,
        user_id: &UserId,
        accepted: impl IntoIterator<Item = &'t Terms>,
    ) {
        for terms in accepted {
            batch.put(&TermsAccepted {
                user_id: user_id.to_owned(),
                document: terms.id.clone(),
                version: terms.version.clone(),
                at: self.now(),
            });
        }
    }
}
