//! In which language somebody is written to who has not asked for it just now: the one in which they last signed in on the pages.

use myelin_language::Language;
use myelin_store::schema::auth::AccountLanguage;
use myelin_store::{Batch, Reader, Snapshot};
use ruma::OwnedUserId;

use crate::{Auth, Origin, StoreError};

impl Auth {
    /// It; the operator's choice for who never did.
    pub(crate) async fn language_of(
        &self,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
    ) -> Result<Language, StoreError> {
        let row = snapshot.get::<AccountLanguage>(&(user_id.clone(),)).await?;
        let known = row.and_then(|row| Language::of_tag(&row.language));
        Ok(known.unwrap_or(self.config.language))
    }

    /// Adds to the batch that somebody signs in in this language, where it is another one than before.
    pub(crate) async fn note_language(
        &self,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        let Some(language) = origin.language else { return Ok(()) };
        let before = snapshot.get::<AccountLanguage>(&(user_id.clone(),)).await?;
        if before.is_none_or(|before| before.language != language.tag()) {
            let language = language.tag().to_owned();
            batch.put(&AccountLanguage { user_id: user_id.clone(), language });
        }
        Ok(())
    }
}
