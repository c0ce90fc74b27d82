//! Browsers in which somebody is signed in to the pages.

use bytes::Bytes;
use myelin_runtime::Secret;
use myelin_store::schema::auth::{Account, Password};
use myelin_store::schema::oauth::{BrowserSession, KnownBrowser};
use myelin_store::{Batch, CommitError, Durability, Reader, Scan};
use ruma::OwnedUserId;

use super::approvals::end_browsers;
use crate::account::password::Verified;
use crate::auth::{ATTEMPTS, Applied};
use crate::session::expect_account;
use crate::session::token::{self, Kind};
use crate::{Act, Actor, Auth, Identifier, LoginError, Origin, SignIn, StoreError};

/// How long somebody stays signed in, in milliseconds.
pub(crate) const LIFETIME: i64 = 14 * 86_400_000;
/// In how many browsers one is signed in at most. With another one, the one that ends first ends.
const MOST: usize = 16;
/// How long a browser is known in which nobody signs in any more, in milliseconds.
const KNOWN: i64 = 365 * 86_400_000;
/// How exactly it is known when a browser was last seen, in milliseconds.
const HOUR: i64 = 3_600_000;
/// How much is kept of what a browser says of itself, in bytes.
const MAX_USER_AGENT: usize = 300;

/// Who is signed in in a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Browser {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// When they signed in here, in milliseconds since the Unix epoch.
    pub authenticated_at: i64,
    /// When they last showed who they are, here or at the provider that they signed in with.
    pub shown_at: i64,
    /// Whether there are terms that they have still to accept.
    pub owes_terms: bool,
    /// Which browser it is: the hash of its cookie.
    pub(crate) hash: Bytes,
    /// What it says of itself.
    pub(crate) user_agent: Option<String>,
    /// In which session at a provider they signed in, if they did so there.
    pub(crate) origin: Option<String>,
}

/// A browser that somebody signed in with just now.
#[derive(Clone, Debug)]
pub struct NewBrowser {
    /// Whose it is.
    pub user_id: OwnedUserId,
    /// What its cookie holds.
    pub cookie: Secret<String>,
    /// How long it is good, in seconds.
    pub lifetime: i64,
    /// What it shows from now on to be known again, for so many seconds: guesses elsewhere don't keep its user out.
    pub known: (Secret<String>, i64),
}

/// How somebody signs in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How<'a> {
    /// For the audit log.
    pub(crate) name: &'a str,
    /// Where it is with a provider, how there.
    pub(crate) there: Option<There<'a>>,
}

/// How somebody signed in at a provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct There<'a> {
    /// In which session.
    pub(crate) origin: &'a str,
    /// When they last showed who they are; 0 where the provider does not say.
    pub(crate) shown_at: i64,
}

impl<'a> How<'a> {
    /// By what this server asks for.
    pub(crate) fn here(name: &'a str) -> Self {
        Self { name, there: None }
    }
}

impl Auth {
    /// Signs somebody in who knows the password; where the account has a second factor, half.
    ///
    /// # Errors
    /// Why not.
    pub async fn sign_in(
        &self,
        user: &Identifier,
        password: Secret<String>,
        origin: &Origin,
    ) -> Result<SignIn, LoginError> {
        let Verified { account, first } = self.verify_password(user, password, origin).await?;
        if account.locked_at.is_some() {
            return Err(LoginError::Locked);
        }
        // A new password raises the account's version, so that this expects the one that was shown to be in force.
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let key = (account.user_id.clone(),);
            let now = snapshot.get::<Account>(&key).await?.filter(is_usable).ok_or(LoginError::Wrong)?;
            if !self.first_stands(&*snapshot, &account.user_id, &first).await? {
                return Err(LoginError::Wrong);
            }
            // A factor that is added raises the version, too.
            if self.factors_in(&*snapshot, &account.user_id).await?.is_on() {
                return Ok(SignIn::Half(self.half(&account.user_id, first)?));
            }
            drop(snapshot);
            let batch = self.batch(account.user_id.as_str());
            if let Some(browser) = self.open_browser(batch, &now, origin, How::here(first.name())).await? {
                return Ok(SignIn::Done(browser));
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Signs somebody in who made their account just now.
    ///
    /// # Errors
    /// When the store fails, or the account can't be used.
    pub async fn sign_in_new(
        &self,
        user_id: &OwnedUserId,
        origin: &Origin,
    ) -> Result<NewBrowser, LoginError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.engine.snapshot().await?;
            let account = snapshot.get::<Account>(&(user_id.clone(),)).await?;
            let account = account.filter(is_usable).ok_or(LoginError::Wrong)?;
            drop(snapshot);
            let batch = self.batch(user_id.as_str());
            if let Some(browser) = self.open_browser(batch, &account, origin, How::here("new")).await? {
                return Ok(browser);
            }
        }
        Err(StoreError::Contended.into())
    }

    /// Writes a session, with what its user used up to sign in; nothing where that or the account changed meanwhile.
    pub(crate) async fn open_browser(
        &self,
        mut batch: Batch,
        account: &Account,
        origin: &Origin,
        how: How<'_>,
    ) -> Result<Option<NewBrowser>, StoreError> {
        let user_id = &account.user_id;
        let held = Scan::index::<BrowserSession>(BrowserSession::BY_USER, (user_id.clone(),), MOST * 2);
        let known = Scan::index::<KnownBrowser>(KnownBrowser::BY_USER, (user_id.clone(),), MOST * 2);
        let snapshot = self.engine.snapshot().await?;
        let held = snapshot.scan::<BrowserSession>(held).await?;
        let known = snapshot.scan::<KnownBrowser>(known).await?;
        self.note_language(&mut batch, &*snapshot, user_id, origin).await?;
        drop(snapshot);
        expect_account(&mut batch, account);
        let surplus = (held.len() + 1).saturating_sub(MOST);
        for oldest in held.into_iter().take(surplus) {
            batch.delete::<BrowserSession>(&(oldest.hash,));
        }
        let cookie = token::mint(&self.env.random, Kind::Browser);
        let now = self.now();
        batch.put(&BrowserSession {
            hash: Bytes::copy_from_slice(&token::hash(cookie.expose())),
            user_id: user_id.clone(),
            authenticated_at: now,
            expires_at: now.saturating_add(LIFETIME),
            user_agent: origin.user_agent.as_deref().map(|said| shortened(said, MAX_USER_AGENT).to_owned()),
            seen_at: Some(now),
            origin: how.there.map(|there| there.origin.to_owned()),
            shown_at: how.there.map(|there| there.shown_at),
        });
        let known = self.know_again(&mut batch, user_id, known, origin);
        let how = Some(how.name.to_owned());
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::BrowserSignIn, Some(user_id), how);
        let applied = self.commit(batch, user_id).await?;
        let known = (known, KNOWN / 1_000);
        let browser = NewBrowser { user_id: user_id.clone(), cookie, lifetime: LIFETIME / 1_000, known };
        Ok((applied == Applied::Yes).then_some(browser))
    }

    /// Adds to the batch that the browser will be known again; whatever it was known by before it is no more.
    fn know_again(
        &self,
        batch: &mut Batch,
        user_id: &OwnedUserId,
        held: Vec<KnownBrowser>,
        origin: &Origin,
    ) -> Secret<String> {
        let before = origin.browser.as_ref().map(|shown| token::hash(shown.expose()));
        let (same, others): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|row| before.is_some_and(|before| row.hash == before[..]));
        let surplus = (others.len() + 1).saturating_sub(MOST);
        for row in same.into_iter().chain(others.into_iter().take(surplus)) {
            batch.delete::<KnownBrowser>(&(row.hash,));
        }
        let known = token::mint(&self.env.random, Kind::Known);
        batch.put(&KnownBrowser {
            hash: Bytes::copy_from_slice(&token::hash(known.expose())),
            user_id: user_id.clone(),
            expires_at: self.now().saturating_add(KNOWN),
        });
        known
    }

    /// Who is signed in by this cookie; nobody where it has ended, the account can't be used, or its password has changed
    /// since.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn browser(&self, cookie: &str) -> Result<Option<Browser>, StoreError> {
        if !Kind::Browser.fits(cookie) {
            return Ok(None);
        }
        let snapshot = self.engine.snapshot().await?;
        let key = (Bytes::copy_from_slice(&token::hash(cookie)),);
        let found = snapshot.get::<BrowserSession>(&key).await?;
        let Some(row) = found.filter(|row| row.expires_at > self.now()) else { return Ok(None) };
        let user = (row.user_id.clone(),);
        let account = snapshot.get::<Account>(&user).await?;
        let password = snapshot.get::<Password>(&user).await?;
        let is_current = password.is_none_or(|password| password.changed_at <= row.authenticated_at);
        if !is_current || !account.is_some_and(|account| is_usable(&account)) {
            return Ok(None);
        }
        let owes_terms = !self.terms_due_in(&*snapshot, &row.user_id).await?.is_empty();
        drop(snapshot);
        let browser = Browser {
            user_id: row.user_id.clone(),
            authenticated_at: row.authenticated_at,
            shown_at: row.shown_at.unwrap_or(row.authenticated_at),
            owes_terms,
            hash: row.hash.clone(),
            user_agent: row.user_agent.clone(),
            origin: row.origin.clone(),
        };
        self.see_browser(row).await?;
        Ok(Some(browser))
    }

    /// Notes that a browser is used. Nobody minds when a power cut takes it.
    async fn see_browser(&self, row: BrowserSession) -> Result<(), StoreError> {
        let now = self.now();
        if row.seen_at.is_some_and(|seen| now.saturating_sub(seen) < HOUR) {
            return Ok(());
        }
        let mut batch = self.batch(row.user_id.as_str());
        batch.durability = Durability::MayLag;
        batch.expect_present::<BrowserSession>(&(row.hash.clone(),));
        batch.put(&BrowserSession { seen_at: Some(now), ..row });
        match self.engine.commit(batch).await {
            // It was signed out meanwhile: whoever acts for it expects it to be there.
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the browser's session goes on.
    pub(crate) async fn is_signed_in(&self, browser: &Browser) -> Result<bool, StoreError> {
        let key = (browser.hash.clone(),);
        Ok(self.engine.get_now::<BrowserSession>(&key).await?.is_some())
    }

    /// Adds to the batch that the user is signed in in this browser alone.
    pub(crate) fn end_other_browsers(&self, batch: &mut Batch, browser: &Browser) {
        let user_id = browser.user_id.clone();
        // Not where it was signed out meanwhile.
        batch.expect_present::<BrowserSession>(&(browser.hash.clone(),));
        end_browsers(batch, &user_id);
        batch.put(&BrowserSession {
            hash: browser.hash.clone(),
            user_id,
            authenticated_at: browser.authenticated_at,
            expires_at: browser.authenticated_at.saturating_add(LIFETIME),
            user_agent: browser.user_agent.clone(),
            seen_at: Some(self.now()),
            origin: browser.origin.clone(),
            shown_at: browser.origin.is_some().then_some(browser.shown_at),
        });
    }

    /// Ends a browser's session, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sign_out(&self, cookie: &str) -> Result<(), StoreError> {
        if Kind::Browser.fits(cookie) {
            let mut batch = self.batch("browser_session");
            batch.delete::<BrowserSession>(&(Bytes::copy_from_slice(&token::hash(cookie)),));
            self.engine.commit(batch).await?;
        }
        Ok(())
    }

    /// Forgets sessions that have ended.
    pub(crate) async fn prune_browsers(&self) -> Result<(), StoreError> {
        let mut batch = self.batch("browser_session");
        batch.durability = Durability::MayLag;
        let all = Scan::index::<BrowserSession>(BrowserSession::BY_END, (), usize::MAX);
        batch.delete_range(all.up_to((self.now(),)));
        let known = Scan::index::<KnownBrowser>(KnownBrowser::BY_END, (), usize::MAX);
        batch.delete_range(known.up_to((self.now(),)));
        self.engine.commit(batch).await?;
        Ok(())
    }
}

/// Adds to the batch that the browser is still signed in: what was approved in it in the very moment in which a new password
/// ended it is not.
pub(crate) fn expect_browser(batch: &mut Batch, browser: &Browser) {
    batch.expect_present::<BrowserSession>(&(browser.hash.clone(),));
}

/// As much of the text as fits, in whole letters.
fn shortened(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// Whether somebody may act for the account.
pub(crate) fn is_usable(account: &Account) -> bool {
    account.deactivated_at.is_none() && account.locked_at.is_none()
}
