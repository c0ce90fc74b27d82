//! Registration tokens (<https://spec.matrix.org/v1.19/client-server-api/#token-authenticated-registration>).

use myelin_store::schema::auth::RegistrationToken;
use myelin_store::{Batch, CommitError, Reader, Scan, Snapshot};

use crate::audit::Actor;
use crate::{Act, Auth, RegisterError, StoreError};

/// The longest token, as the spec says.
const MAX_LEN: usize = 64;
/// The length of a token that the server makes up: 95 bits, and still short enough to read out.
const MADE_UP: usize = 16;

/// A registration token to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRegistrationToken {
    /// The token; made up if absent.
    pub token: Option<String>,
    /// How many accounts it is good for; `None` is any number.
    pub uses_allowed: Option<i64>,
    /// Until when, in milliseconds since the Unix epoch.
    pub expires_at: Option<i64>,
}

/// A registration token, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationTokenInfo {
    /// The token.
    pub token: String,
    /// How many accounts it is good for; `None` is any number.
    pub uses_allowed: Option<i64>,
    /// How many registrations have shown it and are not done.
    pub pending: i64,
    /// How many accounts were made with it.
    pub completed: i64,
    /// Until when, in milliseconds since the Unix epoch.
    pub expires_at: Option<i64>,
}

/// Why a registration token was not made.
#[derive(Debug, thiserror::Error)]
pub enum TokenCreateError {
    /// It has other characters, or too many.
    #[error("a registration token has 1 to 64 of the characters A-Z a-z 0-9 . _ ~ -")]
    Form,
    /// There is one already.
    #[error("there is such a registration token already")]
    Exists,
    /// It would be no good to anybody.
    #[error("the registration token would have no use: it must allow at least one and expire in the future")]
    Useless,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Auth {
    /// Makes a registration token.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn create_registration_token(
        &self,
        actor: &Actor,
        new: NewRegistrationToken,
    ) -> Result<RegistrationTokenInfo, TokenCreateError> {
        let token = new.token.unwrap_or_else(|| self.env.random.alphanumeric(MADE_UP));
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._~-".contains(&b);
        if token.is_empty() || token.len() > MAX_LEN || !token.bytes().all(legal) {
            return Err(TokenCreateError::Form);
        }
        let now = self.now();
        if new.uses_allowed.is_some_and(|uses| uses < 1) || new.expires_at.is_some_and(|at| at <= now) {
            return Err(TokenCreateError::Useless);
        }
        let row = RegistrationToken {
            token,
            uses_allowed: new.uses_allowed,
            completed: 0,
            expires_at: new.expires_at,
            created_at: now,
            created_by: actor.to_string(),
        };
        let mut batch = self.batch("registration_token");
        batch.insert(&row);
        self.record(&mut batch, actor, Act::RegistrationTokenCreate, None, None);
        match self.engine.commit(batch).await {
            Ok(_) => Ok(self.token_info(row)),
            Err(CommitError::Conflict { .. }) => Err(TokenCreateError::Exists),
            Err(error) => Err(TokenCreateError::Store(error.into())),
        }
    }

    /// The next registration tokens in the order of their text, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn registration_tokens(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<RegistrationTokenInfo>, StoreError> {
        let scan = Scan::prefix::<RegistrationToken>((), limit);
        let scan = match after {
            Some(token) => scan.after((token.to_owned(),)),
            None => scan,
        };
        let rows = self.engine.snapshot().await?.scan::<RegistrationToken>(scan).await?;
        Ok(rows.into_iter().map(|row| self.token_info(row)).collect())
    }

    /// Deletes a registration token; whether there was one. Who has shown it and is not done can't use it any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_registration_token(&self, actor: &Actor, token: &str) -> Result<bool, StoreError> {
        let key = (token.to_owned(),);
        if self.engine.get_now::<RegistrationToken>(&key).await?.is_none() {
            return Ok(false);
        }
        let mut batch = self.batch("registration_token");
        batch.delete::<RegistrationToken>(&key);
        self.record(&mut batch, actor, Act::RegistrationTokenDelete, None, None);
        self.engine.commit(batch).await?;
        Ok(true)
    }

    /// Whether somebody who begins to register now could do so with this token.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn registration_token_valid(&self, token: &str) -> Result<bool, StoreError> {
        let key = (token.to_owned(),);
        let row = self.engine.get_now::<RegistrationToken>(&key).await?;
        let Some(row) = row.filter(|row| self.stands(row)) else { return Ok(false) };
        let pending = self.uia.pending(token, self.env.clock.elapsed());
        Ok(row.uses_allowed.is_none_or(|allowed| row.completed.saturating_add(pending) < allowed))
    }

    /// Adds the use of the token to the batch, which expects that nobody used it in between.
    pub(crate) async fn use_registration_token(
        &self,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        token: &str,
    ) -> Result<(), RegisterError> {
        let key = (token.to_owned(),);
        let row = snapshot.get::<RegistrationToken>(&key).await?;
        let usable = |row: &RegistrationToken| {
            self.stands(row) && row.uses_allowed.is_none_or(|allowed| row.completed < allowed)
        };
        let row = row.filter(usable).ok_or(RegisterError::Token)?;
        batch.expect_column::<RegistrationToken>(&key, "completed", &row.completed);
        batch.add::<RegistrationToken>(&key, "completed", 1);
        Ok(())
    }

    fn stands(&self, row: &RegistrationToken) -> bool {
        row.expires_at.is_none_or(|at| at > self.now())
    }

    fn token_info(&self, row: RegistrationToken) -> RegistrationTokenInfo {
        RegistrationTokenInfo {
            pending: self.uia.pending(&row.token, self.env.clock.elapsed()),
            token: row.token,
            uses_allowed: row.uses_allowed,
            completed: row.completed,
            expires_at: row.expires_at,
        }
    }
}
