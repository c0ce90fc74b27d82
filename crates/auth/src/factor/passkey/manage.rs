//! The passkeys of an account, as their user sees them.

use myelin_store::Reader;
use myelin_store::schema::factors::Passkey as Row;
use sha2::{Digest, Sha256};

use super::super::SecondFactors;
use super::super::notice::Change;
use super::super::recovery::delete_codes;
use super::MOST;
use crate::{AccountError, Actor, Auth, Browser, StoreError};

/// The longest name, in characters.
const LONGEST_NAME: usize = 64;

/// A passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// By which its owner's pages name it.
    pub id: String,
    /// What they call it; may be empty.
    pub name: String,
    /// When it was added, in milliseconds since the Unix epoch.
    pub added_at: i64,
    /// When it was last used.
    pub used_at: Option<i64>,
}

impl From<&Row> for Passkey {
    fn from(row: &Row) -> Self {
        let id = id_of(row);
        Self { id, name: row.name.clone(), added_at: row.added_at, used_at: row.used_at }
    }
}

impl Auth {
    /// The passkeys of who is signed in, in the order in which they were added.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn passkeys(&self, browser: &Browser) -> Result<Vec<Passkey>, StoreError> {
        Ok(self.passkey_rows(browser).await?.iter().map(Passkey::from).collect())
    }

    /// Gives a passkey another name; whether there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rename_passkey(&self, browser: &Browser, id: &str, name: &str) -> Result<bool, StoreError> {
        let Some(row) = self.passkey_row(browser, id).await? else { return Ok(false) };
        let user_id = &browser.user_id;
        let mut batch = self.batch(user_id.as_str());
        // Not where it was removed, or used, meanwhile: then its user does this again.
        batch.expect_column::<Row>(&(row.credential_id.clone(),), "used_at", &row.used_at);
        self.record(&mut batch, &Actor::User(user_id.clone()), "passkey.rename", Some(user_id), None);
        batch.put(&Row { name: tidied(name), ..row });
        self.engine.commit(batch).await?;
        Ok(true)
    }

    /// Removes a passkey; whether there was one. The recovery codes go with the last second factor. That the user showed who
    /// they are is settled.
    ///
    /// # Errors
    /// Why not.
    pub async fn remove_passkey(&self, browser: &Browser, id: &str) -> Result<bool, AccountError> {
        let Some(row) = self.passkey_row(browser, id).await? else { return Ok(false) };
        let user_id = &browser.user_id;
        let factors = self.second_factors(browser).await?;
        let left = SecondFactors { passkeys: factors.passkeys.saturating_sub(1), ..factors };
        let key = (row.credential_id.clone(),);
        self.change_account(&Actor::User(user_id.clone()), user_id, "passkey.remove", |batch, _| {
            batch.delete::<Row>(&key);
            if !left.is_on() {
                delete_codes(batch, user_id);
            }
            None
        })
        .await?;
        self.tell(user_id, Change::PasskeyRemoved).await;
        Ok(true)
    }

    async fn passkey_rows(&self, browser: &Browser) -> Result<Vec<Row>, StoreError> {
        let scan = Row::of_user(&browser.user_id, MOST);
        Ok(self.engine.snapshot().await?.scan::<Row>(scan).await?)
    }

    async fn passkey_row(&self, browser: &Browser, id: &str) -> Result<Option<Row>, StoreError> {
        let rows = self.passkey_rows(browser).await?;
        Ok(rows.into_iter().find(|row| id_of(row) == id))
    }
}

fn id_of(row: &Row) -> String {
    let digest = Sha256::digest(&row.credential_id);
    digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

/// A name as it is kept.
pub(super) fn tidied(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_NAME).collect()
}
