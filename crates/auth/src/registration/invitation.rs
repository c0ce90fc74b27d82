//! Invitations: links by which somebody makes an account, once, whoever else may make one.

use bytes::Bytes;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{Account, Invitation};
use myelin_store::{Batch, Durability, Reader, Scan, Snapshot};

use crate::session::token::{self, Kind};
use crate::{Act, Actor, Auth, RegisterError, StoreError};

/// Who made the invitation of the first administrator.
const SET_UP: &str = "set-up";
/// How long that one is good, in milliseconds.
const SET_UP_LIFETIME: i64 = 86_400_000;
/// How many accounts an operator has invited people to at once.
const MOST: usize = 10_000;

/// Somebody's invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invited {
    /// Whether they will administer the server.
    pub is_admin: bool,
}

/// Why nobody was invited.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// There are as many as there may be.
    #[error("there are ten thousand invitations that nobody has used")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<myelin_store::ReadError> for InviteError {
    fn from(error: myelin_store::ReadError) -> Self {
        Self::Store(error.into())
    }
}

impl Auth {
    /// Invites somebody to make an account, for so many milliseconds. What they show is kept as its SHA-256.
    ///
    /// # Errors
    /// Why not.
    pub async fn invite(
        &self,
        actor: &Actor,
        is_admin: bool,
        lifetime: i64,
    ) -> Result<Secret<String>, InviteError> {
        let held = Scan::prefix::<Invitation>((), MOST);
        if self.engine.snapshot().await?.scan::<Invitation>(held).await?.len() >= MOST {
            return Err(InviteError::TooMany);
        }
        let mut batch = self.batch("invitation");
        let shown = self.add_invitation(&mut batch, &actor.to_string(), is_admin, lifetime);
        let act = if is_admin { Act::InvitationCreateAdmin } else { Act::InvitationCreate };
        self.record(&mut batch, actor, act, None, None);
        self.engine.commit(batch).await.map_err(StoreError::from)?;
        Ok(shown)
    }

    /// What the first administrator makes their account with, on a server that has none yet. What was shown before is no good
    /// any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_up(&self) -> Result<Option<Secret<String>>, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        if !snapshot.scan::<Account>(Scan::prefix::<Account>((), 1)).await?.is_empty() {
            return Ok(None);
        }
        let before = snapshot.scan::<Invitation>(Scan::prefix::<Invitation>((), MOST)).await?;
        drop(snapshot);
        let mut batch = self.batch("invitation");
        for row in before.into_iter().filter(|row| row.created_by == SET_UP) {
            batch.delete::<Invitation>(&(row.hash,));
        }
        let shown = self.add_invitation(&mut batch, SET_UP, true, SET_UP_LIFETIME);
        self.record(&mut batch, &Actor::Operator, Act::InvitationSetUp, None, None);
        self.engine.commit(batch).await?;
        Ok(Some(shown))
    }

    fn add_invitation(&self, batch: &mut Batch, by: &str, is_admin: bool, lifetime: i64) -> Secret<String> {
        let shown = token::mint(&self.env.random, Kind::Invitation);
        let now = self.now();
        batch.put(&Invitation {
            hash: Bytes::copy_from_slice(&token::hash(shown.expose())),
            is_admin,
            expires_at: now.saturating_add(lifetime),
            created_at: now,
            created_by: by.to_owned(),
        });
        shown
    }

    /// The invitation that somebody shows, while it is good.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn invited(&self, shown: &str) -> Result<Option<Invited>, StoreError> {
        let snapshot = self.engine.snapshot().await?;
        let found = self.invitation(&*snapshot, shown).await?;
        Ok(found.map(|row| Invited { is_admin: row.is_admin }))
    }

    async fn invitation(
        &self,
        snapshot: &dyn Snapshot,
        shown: &str,
    ) -> Result<Option<Invitation>, StoreError> {
        if !Kind::Invitation.fits(shown) {
            return Ok(None);
        }
        let key = (Bytes::copy_from_slice(&token::hash(shown)),);
        let row = snapshot.get::<Invitation>(&key).await?.filter(|row| row.expires_at > self.now());
        // The first administrator is the first: nobody is one by the link of set-up who comes when there are accounts.
        let is_set_up = row.as_ref().is_some_and(|row| row.created_by == SET_UP);
        if is_set_up && !snapshot.scan::<Account>(Scan::prefix::<Account>((), 1)).await?.is_empty() {
            return Ok(None);
        }
        Ok(row)
    }

    /// Adds the use of an invitation to the batch: of two who show it, one gets an account. Whether it makes an administrator.
    pub(crate) async fn use_invitation(
        &self,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        shown: &str,
    ) -> Result<bool, RegisterError> {
        let row = self.invitation(snapshot, shown).await?.ok_or(RegisterError::Token)?;
        let key = (row.hash,);
        batch.expect_present::<Invitation>(&key);
        batch.delete::<Invitation>(&key);
        Ok(row.is_admin)
    }

    /// Forgets invitations that have expired.
    pub(crate) async fn prune_invitations(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("invitation");
        batch.durability = Durability::MayLag;
        let all = Scan::index::<Invitation>(Invitation::BY_END, (), usize::MAX);
        batch.delete_range(all.up_to((self.now(),)));
        self.engine.commit(batch).await?;
        Ok(())
    }
}
