//! The audit log: who did what to which account, and when.

mod act;

use std::fmt;

use myelin_model::{Pos, Requester};
use myelin_store::schema::auth::Audit;
use myelin_store::{Batch, Reader};
use ruma::{OwnedUserId, UserId};

pub use act::{Act, Told};

use crate::{Auth, StoreError};

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// An operator at the command line.
    Operator,
    /// A tool that holds the shared registration secret.
    SharedSecret,
    /// The directory, which does not know somebody any more.
    Directory,
    /// A user, themselves or as an administrator.
    User(OwnedUserId),
}

impl From<&Requester> for Actor {
    fn from(requester: &Requester) -> Self {
        Self::User(requester.user_id.clone())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::SharedSecret => f.write_str("shared-secret"),
            Self::Directory => f.write_str("directory"),
            Self::User(user_id) => user_id.fmt(f),
        }
    }
}

/// One entry, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Where it stands in the log.
    pub pos: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Who; a user id, or the door an operator came through.
    pub actor: String,
    /// What was done.
    pub told: Told,
    /// More about it.
    pub detail: Option<String>,
}

impl Auth {
    /// Adds an entry to the batch that does what it tells of.
    pub(crate) fn record(
        &self,
        batch: &mut Batch,
        actor: &Actor,
        act: Act,
        user_id: Option<&UserId>,
        detail: Option<String>,
    ) {
        let pos = batch.next_pos();
        batch.put(&Audit {
            pos,
            at: self.now(),
            actor: actor.to_string(),
            action: act.name().to_owned(),
            user_id: user_id.map(UserId::to_owned),
            detail,
        });
    }

    /// The newest entries about one account, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn audit_of(&self, user_id: &OwnedUserId, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.audit_before(user_id, None, limit).await
    }

    /// The newest entries about one account before a place in the log, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn audit_before(
        &self,
        user_id: &OwnedUserId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let scan = Audit::of_user(user_id, limit);
        let scan = match before {
            Some(pos) => scan.before((Pos::new(pos),)),
            None => scan,
        };
        let rows = self.engine.snapshot().await?.scan::<Audit>(scan).await?;
        let entry = |row: Audit| AuditEntry {
            pos: row.pos.get(),
            at: row.at,
            actor: row.actor,
            told: row.action.into(),
            detail: row.detail,
        };
        Ok(rows.into_iter().map(entry).collect())
    }
}
