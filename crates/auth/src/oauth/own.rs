//! What people see and change of their account on its pages beside their devices: browsers, password, what happened.

use bytes::Bytes;
use myelin_model::Requester;
use myelin_runtime::Secret;
use myelin_store::schema::auth::Account;
use myelin_store::schema::oauth::BrowserSession;
use myelin_store::{Batch, Reader, Scan};

use super::{Browser, expect_browser};
use crate::auth::Applied;
use crate::{AccountError, Act, Actor, AuditEntry, Auth, OtherSessions, StoreError, Told};

/// More browsers than one is signed in in.
const BROWSERS: usize = 64;

/// A browser in which somebody is signed in, as they see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnBrowser {
    /// By what it is named; nobody signs in with that.
    pub id: String,
    /// What it says of itself.
    pub user_agent: Option<String>,
    /// When they signed in, in milliseconds since the Unix epoch.
    pub authenticated_at: i64,
    /// When it was last seen, to the hour.
    pub seen_at: Option<i64>,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

/// Something that happened to an account, as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnActivity {
    /// Where it stands in the log.
    pub pos: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// What was done.
    pub told: Told,
    /// More about it.
    pub detail: Option<String>,
    /// Whether somebody else did it: an administrator or a tool of theirs.
    pub is_by_others: bool,
}

impl Auth {
    /// Who is signed in, as one who asks services for something.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn acting(&self, browser: &Browser) -> Result<Requester, StoreError> {
        let key = (browser.user_id.clone(),);
        let account = self.engine.get_now::<Account>(&key).await?;
        let requester = Requester::server_for(&browser.user_id);
        Ok(account.map_or(requester.clone(), |account| Requester {
            is_admin: account.is_admin,
            is_suspended: account.suspended_at.is_some(),
            ..requester
        }))
    }

    /// The browsers in which they are signed in, this one first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_browsers(&self, browser: &Browser) -> Result<Vec<OwnBrowser>, StoreError> {
        let mut rows = self.browser_rows(browser).await?;
        rows.retain(|row| row.expires_at > self.now());
        let own = |row: BrowserSession| OwnBrowser {
            id: named(&row.hash),
            is_this: row.hash == browser.hash,
            user_agent: row.user_agent,
            authenticated_at: row.authenticated_at,
            seen_at: row.seen_at,
        };
        let mut browsers: Vec<OwnBrowser> = rows.into_iter().map(own).collect();
        browsers.sort_by_key(|browser| (!browser.is_this, std::cmp::Reverse(browser.seen_at)));
        Ok(browsers)
    }

    /// Signs them out in another browser of theirs. Whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_own_browser(&self, browser: &Browser, id: &str) -> Result<bool, StoreError> {
        let rows = self.browser_rows(browser).await?;
        let Some(row) = rows.into_iter().find(|row| named(&row.hash) == id) else { return Ok(false) };
        let user_id = &browser.user_id;
        let mut batch = self.batch(user_id.as_str());
        expect_browser(&mut batch, browser);
        batch.delete::<BrowserSession>(&(row.hash,));
        self.record(
            &mut batch,
            &Actor::User(user_id.clone()),
            Act::BrowserEnd,
            Some(user_id),
            row.user_agent,
        );
        Ok(self.commit(batch, user_id).await? == Applied::Yes)
    }

    /// Signs them out in every browser but this one. Whether they were still signed in in this one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_own_other_browsers(&self, browser: &Browser) -> Result<bool, StoreError> {
        let user_id = &browser.user_id;
        let mut batch = self.batch(user_id.as_str());
        self.end_other_browsers(&mut batch, browser);
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::BrowserEndOthers, Some(user_id), None);
        Ok(self.commit(batch, user_id).await? == Applied::Yes)
    }

    async fn browser_rows(&self, browser: &Browser) -> Result<Vec<BrowserSession>, StoreError> {
        let user = (browser.user_id.clone(),);
        let scan = Scan::index::<BrowserSession>(BrowserSession::BY_USER, user, BROWSERS);
        Ok(self.engine.snapshot().await?.scan::<BrowserSession>(scan).await?)
    }

    /// What happened to the account, the newest first, before a place in the log; at most `limit` entries.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn own_activity(
        &self,
        browser: &Browser,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<OwnActivity>, StoreError> {
        let user_id = &browser.user_id;
        let entries = self.audit_before(user_id, before, limit).await?;
        let own = |entry: AuditEntry| OwnActivity {
            pos: entry.pos,
            at: entry.at,
            is_by_others: entry.actor != user_id.as_str(),
            told: entry.told,
            detail: entry.detail,
        };
        Ok(entries.into_iter().map(own).collect())
    }

    /// Gives them a new password. They stay signed in in this browser, and in no other.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn change_own_password(
        &self,
        browser: &Browser,
        password: Secret<String>,
        others: OtherSessions,
    ) -> Result<(), AccountError> {
        let actor = Actor::User(browser.user_id.clone());
        // They have just shown who they are, and a browser of before would end with the password of before.
        let keep = |batch: &mut Batch| {
            let now = Browser { authenticated_at: self.now(), ..browser.clone() };
            self.end_other_browsers(batch, &now);
        };
        self.set_password_with(&actor, &browser.user_id, password, others, None, keep).await
    }

    /// Notes that they have a copy of their data.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn record_export(&self, browser: &Browser) -> Result<(), StoreError> {
        let user_id = &browser.user_id;
        let mut batch = self.batch(user_id.as_str());
        self.record(&mut batch, &Actor::User(user_id.clone()), Act::AccountExport, Some(user_id), None);
        self.engine.commit(batch).await?;
        Ok(())
    }

    /// Calls one of their devices something else.
    ///
    /// # Errors
    /// Why it could not be.
    pub async fn rename_own_device(
        &self,
        browser: &Browser,
        device_id: &ruma::OwnedDeviceId,
        name: String,
    ) -> Result<(), crate::DeviceError> {
        let requester = Requester::server_for(&browser.user_id);
        self.rename_device(&requester, device_id, Some(name)).await
    }
}

/// What a browser is called on the page: not what it signs in with, nor enough to know that.
fn named(hash: &Bytes) -> String {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
