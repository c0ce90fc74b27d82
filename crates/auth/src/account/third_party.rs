//! The addresses by which an account's user can be reached
//! (<https://spec.matrix.org/v1.19/client-server-api/#adding-account-administrative-contact-information>).

use myelin_model::Requester;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{Account, EmailPurpose, ThirdPartyId};
use myelin_store::{Batch, CommitError, Reader};

use super::AccountError;
use crate::audit::Actor;
use crate::auth::ATTEMPTS;
use crate::email::validation::{EMAIL, EmailCredentials, ValidatedEmail, use_up};
use crate::session::expect_account;
use crate::{Act, Auth, OtherSessions, StoreError};

/// How many addresses an account has at most.
const MOST: usize = 32;

/// An address of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThirdPartyInfo {
    /// `email`.
    pub medium: String,
    /// The address.
    pub address: String,
    /// When it was shown to be theirs, in milliseconds since the Unix epoch.
    pub validated_at: i64,
    /// When it was added.
    pub added_at: i64,
}

/// Why an address was not added.
#[derive(Debug, thiserror::Error)]
pub enum ThirdPartyError {
    /// Nobody has confirmed it in this session, or that was used already, or has expired.
    #[error("the address was not confirmed in this session")]
    NotValidated,
    /// It belongs to another account.
    #[error("the address belongs to another account")]
    InUse,
    /// The account has as many as it may.
    #[error("an account has at most 32 addresses")]
    TooMany,
    /// There is no such account any more.
    #[error("there is no such account")]
    Unknown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<myelin_store::ReadError> for ThirdPartyError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl Auth {
    /// The requester's addresses.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn third_party_ids(&self, requester: &Requester) -> Result<Vec<ThirdPartyInfo>, StoreError> {
        let scan = ThirdPartyId::of_user(&requester.user_id, MOST);
        let rows = self.engine.snapshot().await?.scan::<ThirdPartyId>(scan).await?;
        let info = |row: ThirdPartyId| ThirdPartyInfo {
            medium: row.medium,
            address: row.address,
            validated_at: row.validated_at,
            added_at: row.added_at,
        };
        Ok(rows.into_iter().map(info).collect())
    }

    /// Adds an address that was confirmed. That the requester is who they are has been settled by interactive
    /// authentication.
    ///
    /// # Errors
    /// See [`ThirdPartyError`].
    pub async fn add_email(
        &self,
        requester: &Requester,
        credentials: &EmailCredentials,
    ) -> Result<(), ThirdPartyError> {
        let user_id = &requester.user_id;
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let validated = self.validated(&*snapshot, EmailPurpose::Add, credentials).await?;
            let validated = validated.ok_or(ThirdPartyError::NotValidated)?;
            let owner = self.owner_of(&*snapshot, &validated.address).await?;
            if owner.is_some_and(|owner| owner != *user_id) {
                return Err(ThirdPartyError::InUse);
            }
            let account = snapshot.get::<Account>(&(user_id.clone(),)).await?;
            let account = account.filter(|account| account.deactivated_at.is_none());
            let mut account = account.ok_or(ThirdPartyError::Unknown)?;
            let held = snapshot.scan::<ThirdPartyId>(ThirdPartyId::of_user(user_id, MOST)).await?;
            if held.len() >= MOST {
                return Err(ThirdPartyError::TooMany);
            }
            drop(snapshot);
            let mut batch = self.batch(user_id.as_str());
            // The account's version keeps count and deactivation apart from this; see `deactivate`.
            expect_account(&mut batch, &account);
            account.version += 1;
            batch.put(&account);
            let is_new = held.iter().all(|row| row.address != validated.address);
            self.insert_email(&mut batch, &account, &validated, is_new);
            let actor = Actor::User(user_id.clone());
            self.record(&mut batch, &actor, Act::AddressAdd, Some(user_id), Some(validated.address));
            match self.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(StoreError::from(error).into()),
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Adds a confirmed address to the batch, which uses up the session it was confirmed in. One that is new must not
    /// belong to anybody.
    pub(crate) fn insert_email(
        &self,
        batch: &mut Batch,
        account: &Account,
        validated: &ValidatedEmail,
        is_new: bool,
    ) {
        use_up(batch, validated);
        let row = ThirdPartyId {
            medium: EMAIL.to_owned(),
            address: validated.address.clone(),
            user_id: account.user_id.clone(),
            validated_at: validated.validated_at,
            added_at: self.now(),
        };
        if is_new { batch.insert(&row) } else { batch.put(&row) }
    }

    /// Takes an address from the requester's account; one that it has not is gone already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_third_party_id(
        &self,
        requester: &Requester,
        medium: &str,
        address: &str,
    ) -> Result<(), StoreError> {
        let canonical = crate::EmailAddress::parse(address);
        let address = canonical.as_ref().map_or(address, crate::EmailAddress::as_str).to_owned();
        let key = (medium.to_owned(), address.clone());
        let user_id = &requester.user_id;
        for _ in 0..ATTEMPTS {
            let row = self.engine.get_now::<ThirdPartyId>(&key).await?;
            let Some(row) = row.filter(|row| row.user_id == *user_id) else { return Ok(()) };
            let mut batch = self.batch(user_id.as_str());
            batch.expect_column::<ThirdPartyId>(&key, "user_id", &row.user_id);
            batch.delete::<ThirdPartyId>(&key);
            let actor = Actor::User(user_id.clone());
            self.record(&mut batch, &actor, Act::AddressRemove, Some(user_id), Some(address.clone()));
            match self.engine.commit(batch).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Contended)
    }

    /// Gives the account that a confirmed address belongs to a new password.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn reset_password_by_email(
        &self,
        validated: &ValidatedEmail,
        password: Secret<String>,
        others: OtherSessions,
    ) -> Result<(), AccountError> {
        let snapshot = self.engine.snapshot().await?;
        let owner = self.owner_of(&*snapshot, &validated.address).await?;
        drop(snapshot);
        let user_id = owner.ok_or(AccountError::Unknown)?;
        let key = (EMAIL.to_owned(), validated.address.clone());
        let actor = Actor::User(user_id.clone());
        self.set_password_with(&actor, &user_id, password, others, None, |batch| {
            batch.expect_column::<ThirdPartyId>(&key, "user_id", &user_id);
            use_up(batch, validated);
        })
        .await
    }
}
