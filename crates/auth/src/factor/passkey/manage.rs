//! The passkeys of an account, as their user sees them.

use myelin_store::Reader;
use myelin_store::schema::auth::Account;
use myelin_store::schema::factors::Passkey as Row;
use sha2::{Digest, Sha256};

use super::super::SecondFactors;
use super::super::notice::Change;
use super::super::recovery::delete_codes;
use super::MOST;
use crate::account::ways::Leaving;
use crate::auth::{ATTEMPTS, Applied};
use crate::oauth::is_usable;
use crate::session::expect_account;
use crate::{AccountError, Act, Actor, Auth, Browser, StoreError};

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
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::PasskeyRename, Some(user_id), None);
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
        let user_id = &browser.user_id;
        for _ in 0..ATTEMPTS {
            let Some(row) = self.passkey_row(browser, id).await? else { return Ok(false) };
            let snapshot = self.engine.snapshot().await?;
            let account = snapshot.get::<Account>(&(user_id.clone(),)).await?;
            let account = account.filter(is_usable).ok_or(AccountError::Unknown)?;
            if self.is_last_way(&*snapshot, user_id, Leaving::Passkey).await? {
                return Err(AccountError::LastWay);
            }
            let factors = self.factors_in(&*snapshot, user_id).await?;
            drop(snapshot);
            let left = SecondFactors { passkeys: factors.passkeys.saturating_sub(1), ..factors };
            let mut batch = self.batch(user_id.as_str());
            // Whatever else takes a way to sign in away raises the version, too.
            expect_account(&mut batch, &account);
            batch.put(&Account { version: account.version + 1, ..account });
            batch.delete::<Row>(&(row.credential_id,));
            if !left.is_on() {
                delete_codes(&mut batch, user_id);
            }
            self.record(&mut batch, &Actor::User(user_id.clone()), Act::PasskeyRemove, Some(user_id), None);
            if self.commit(batch, user_id).await? == Applied::Yes {
                self.tell(user_id, Change::PasskeyRemoved).await;
                return Ok(true);
            }
        }
        Err(StoreError::Contended.into())
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
