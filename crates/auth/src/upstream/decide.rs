//! What people decide who came from a provider for the first time: their name here, or that two accounts are theirs.

use myelin_store::schema::auth::{Account, ThirdPartyId};
use myelin_store::schema::upstream::UpstreamLink;
use myelin_store::{Batch, Snapshot};
use ruma::OwnedUserId;

use super::{Person, UpstreamError};
use crate::email::validation::EMAIL;
use crate::{Act, Actor, Auth, Browser, NewAccount, Origin, RegisterError, SignIn, StoreError};

/// Who has something to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What the provider is called.
    pub provider: String,
    /// What they are called there.
    pub called: Option<String>,
    /// The name that they would have.
    pub localpart: Option<String>,
    /// The account that they want to connect; none where they choose a name.
    pub connects: Option<OwnedUserId>,
    /// The page that is gone on to.
    pub next: String,
}

impl Auth {
    /// What somebody has to decide in a sign-in.
    ///
    /// # Errors
    /// Why nothing.
    pub async fn upstream_pending(
        &self,
        id: &str,
        browser: &str,
        state: &str,
    ) -> Result<Pending, UpstreamError> {
        let (_, _, provider) = self.provider(id)?;
        let (row, person) = self.to_decide(id, browser, state).await?;
        Ok(Pending {
            provider: provider.name.clone(),
            called: person.called,
            localpart: person.localpart,
            connects: row.connects,
            next: row.next,
        })
    }

    /// Makes the account of who came, by the name that they chose, and signs them in.
    ///
    /// # Errors
    /// Why not; they may choose again.
    pub async fn upstream_sign_up(
        &self,
        id: &str,
        browser: &str,
        state: &str,
        name: &str,
        origin: &Origin,
    ) -> Result<SignIn, UpstreamError> {
        let (_, _, provider) = self.provider(id)?;
        let (row, person) = self.to_decide(id, browser, state).await?;
        if row.connects.is_some() || !provider.sign_up {
            return Err(UpstreamError::NoAccount);
        }
        let user_id = match self.linked(&person).await? {
            // In another window they have decided already.
            Some(user_id) => user_id,
            None => self.create_by_provider(self.available(name).await?, &person).await?,
        };
        let signed_in = self.sign_in_person(&user_id, &person, origin).await?;
        self.forget_attempt(&row).await?;
        Ok(signed_in)
    }

    /// Connects the account of who is signed in with the one that they came from.
    ///
    /// # Errors
    /// Why not.
    pub async fn upstream_connect(
        &self,
        id: &str,
        browser: &str,
        state: &str,
        signed_in: &Browser,
    ) -> Result<(), UpstreamError> {
        let (row, person) = self.to_decide(id, browser, state).await?;
        if row.connects.as_ref() != Some(&signed_in.user_id) {
            return Err(UpstreamError::OtherUser);
        }
        self.connect(signed_in, &person).await?;
        self.forget_attempt(&row).await
    }

    /// Makes an account without a password for who came from a provider.
    pub(crate) async fn create_by_provider(
        &self,
        user_id: OwnedUserId,
        person: &Person,
    ) -> Result<OwnedUserId, UpstreamError> {
        let new = NewAccount::of_person(user_id.clone(), person.clone());
        let created = self.create_account(&Actor::User(user_id), new).await?;
        if let (Some(newcomers), Some(name)) = (&self.newcomers, &person.display_name) {
            newcomers.named(&created.user_id, name).await;
        }
        Ok(created.user_id)
    }

    /// Adds to the batch that makes an account that it is connected, and the address that the provider vouches for, where
    /// nobody has it.
    pub(crate) async fn put_person(
        &self,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        user_id: &OwnedUserId,
        person: &Person,
    ) -> Result<(), RegisterError> {
        use myelin_store::Reader as _;
        let key = (person.provider.clone(), person.subject.clone());
        if snapshot.get::<UpstreamLink>(&key).await.map_err(StoreError::from)?.is_some() {
            return Err(RegisterError::Taken);
        }
        batch.insert(&self.link(user_id, person));
        if let Some(address) = &person.email
            && self.owner_of(snapshot, address).await?.is_none()
        {
            let now = self.now();
            batch.insert(&ThirdPartyId {
                medium: EMAIL.to_owned(),
                address: address.clone(),
                user_id: user_id.clone(),
                validated_at: now,
                added_at: now,
            });
        }
        let detail = Some(format!("{} {}", person.provider, person.subject));
        self.record(batch, &Actor::User(user_id.clone()), Act::UpstreamConnect, Some(user_id), detail);
        Ok(())
    }

    pub(super) fn link(&self, user_id: &OwnedUserId, person: &Person) -> UpstreamLink {
        UpstreamLink {
            provider: person.provider.clone(),
            subject: person.subject.clone(),
            user_id: user_id.clone(),
            name: person.called.clone(),
            linked_at: self.now(),
        }
    }
}

/// Whether an account may become somebody's because it has their name: never one that administers, or that can't be used.
pub(super) fn may_be_theirs(account: &Account) -> bool {
    account.deactivated_at.is_none() && account.locked_at.is_none() && !account.is_admin
}
