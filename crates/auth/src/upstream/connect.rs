//! Which accounts elsewhere are somebody's here.

use myelin_store::Reader;
use myelin_store::schema::auth::Account;
use myelin_store::schema::upstream::UpstreamLink;
use ruma::OwnedUserId;

use super::decide::may_be_theirs;
use super::{Person, UpstreamError};
use crate::account::localpart::new_user_id;
use crate::account::ways::Leaving;
use crate::auth::{ATTEMPTS, Applied};
use crate::oauth::expect_browser;
use crate::session::expect_account;
use crate::{Act, Actor, Auth, Browser, StoreError};

/// How many accounts elsewhere one here can be connected to; one for each provider, so that no more are looked at.
pub(crate) const MOST: usize = 64;

/// An account elsewhere, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The provider's id.
    pub provider: String,
    /// Who they are there, for good.
    pub subject: String,
    /// What they are called there.
    pub called: Option<String>,
    /// Since when.
    pub linked_at: i64,
}

/// What became of the wish to take a connection away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnected {
    /// It is gone.
    Yes,
    /// There was none.
    NotConnected,
    /// Nobody could sign in to the account any more.
    LastWay,
}

impl Auth {
    /// The accounts elsewhere of who is signed in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn connections(&self, browser: &Browser) -> Result<Vec<Connection>, StoreError> {
        self.connections_of(&browser.user_id).await
    }

    /// The accounts elsewhere of any user, for operators.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn connections_of(&self, user_id: &OwnedUserId) -> Result<Vec<Connection>, StoreError> {
        let scan = UpstreamLink::of_user(user_id, MOST);
        let rows = self.engine.snapshot().await?.scan::<UpstreamLink>(scan).await?;
        let connection = |row: UpstreamLink| Connection {
            provider: row.provider,
            subject: row.subject,
            called: row.name,
            linked_at: row.linked_at,
        };
        Ok(rows.into_iter().map(connection).collect())
    }

    /// Takes the connection with a provider away from the account of who is signed in.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn disconnect(&self, browser: &Browser, provider: &str) -> Result<Disconnected, StoreError> {
        let actor = Actor::User(browser.user_id.clone());
        self.disconnect_with(&actor, &browser.user_id, Some(browser), provider).await
    }

    /// Takes a connection away from any account, for operators, be it the last way to sign in; whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn disconnect_user(
        &self,
        actor: &Actor,
        user_id: &OwnedUserId,
        provider: &str,
    ) -> Result<bool, StoreError> {
        Ok(self.disconnect_with(actor, user_id, None, provider).await? == Disconnected::Yes)
    }

    async fn disconnect_with(
        &self,
        actor: &Actor,
        user_id: &OwnedUserId,
        browser: Option<&Browser>,
        provider: &str,
    ) -> Result<Disconnected, StoreError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let held = snapshot.scan::<UpstreamLink>(UpstreamLink::of_user(user_id, MOST)).await?;
            let Some(link) = held.iter().find(|link| link.provider == provider) else {
                return Ok(Disconnected::NotConnected);
            };
            let Some(account) = snapshot.get::<Account>(&(user_id.clone(),)).await? else {
                return Ok(Disconnected::NotConnected);
            };
            if browser.is_some() && self.is_last_way(&*snapshot, user_id, Leaving::Provider(provider)).await?
            {
                return Ok(Disconnected::LastWay);
            }
            drop(snapshot);
            let mut batch = self.batch(user_id.as_str());
            if let Some(browser) = browser {
                expect_browser(&mut batch, browser);
            }
            // Whatever else takes a way to sign in away raises the version, too.
            expect_account(&mut batch, &account);
            batch.put(&Account { version: account.version + 1, ..account });
            batch.delete::<UpstreamLink>(&(link.provider.clone(), link.subject.clone()));
            let detail = Some(format!("{} {}", link.provider, link.subject));
            self.record(&mut batch, actor, Act::UpstreamDisconnect, Some(user_id), detail);
            if self.commit(batch, user_id).await? == Applied::Yes {
                return Ok(Disconnected::Yes);
            }
        }
        Err(StoreError::Contended)
    }

    /// Connects an account with who came from a provider: one there is one here, and the other way round.
    pub(super) async fn connect(&self, browser: &Browser, person: &Person) -> Result<(), UpstreamError> {
        let user_id = &browser.user_id;
        let may = |account: &Account| account.deactivated_at.is_none();
        self.connect_if(user_id, Some(browser), person, may).await.map(drop)
    }

    /// The same with the account of this name, where it may be theirs for that alone.
    pub(crate) async fn connect_by_name(
        &self,
        name: &str,
        person: &Person,
    ) -> Result<Option<OwnedUserId>, UpstreamError> {
        let Ok(user_id) = new_user_id(name, &self.config.server_name) else { return Ok(None) };
        match self.connect_if(&user_id, None, person, may_be_theirs).await {
            Ok(true) => Ok(Some(user_id)),
            Ok(false) | Err(UpstreamError::Connected) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn connect_if(
        &self,
        user_id: &OwnedUserId,
        browser: Option<&Browser>,
        person: &Person,
        may: impl Fn(&Account) -> bool,
    ) -> Result<bool, UpstreamError> {
        let key = (person.provider.clone(), person.subject.clone());
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let found = snapshot.get::<Account>(&(user_id.clone(),)).await?;
            let Some(account) = found.filter(&may) else { return Ok(false) };
            if let Some(link) = snapshot.get::<UpstreamLink>(&key).await? {
                return if link.user_id == *user_id { Ok(true) } else { Err(UpstreamError::Connected) };
            }
            let held = snapshot.scan::<UpstreamLink>(UpstreamLink::of_user(user_id, MOST)).await?;
            if held.iter().any(|link| link.provider == person.provider) {
                return Err(UpstreamError::Connected);
            }
            drop(snapshot);
            let mut batch = self.batch(user_id.as_str());
            if let Some(browser) = browser {
                expect_browser(&mut batch, browser);
            }
            // The account's version keeps two connections with one provider apart.
            expect_account(&mut batch, &account);
            batch.put(&Account { version: account.version + 1, ..account });
            batch.insert(&self.link(user_id, person));
            let detail = Some(format!("{} {}", person.provider, person.subject));
            self.record(
                &mut batch,
                &Actor::User(user_id.clone()),
                Act::UpstreamConnect,
                Some(user_id),
                detail,
            );
            if self.commit(batch, user_id).await? == Applied::Yes {
                return Ok(true);
            }
        }
        Err(StoreError::Contended.into())
    }
}
