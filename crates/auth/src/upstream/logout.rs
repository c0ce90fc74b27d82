//! Somebody signed out at a provider: what they began here in that session ends (OpenID Connect Back-Channel Logout 1.0).

use std::collections::BTreeSet;

use bytes::Bytes;
use myelin_oauth_core::upstream::logout::{Logout, of_logout_token};
use myelin_store::schema::oauth::BrowserSession;
use myelin_store::schema::upstream::{DeviceOrigin, UpstreamLink, UpstreamLogout};
use myelin_store::{Batch, Reader, Scan, Snapshot};
use ruma::{OwnedDeviceId, OwnedUserId};

use super::UpstreamError;
use super::exchange::origin;
use crate::oauth::approvals::end_unused;
use crate::session::token;
use crate::{Act, Actor, Auth, StoreError};

/// How many browsers, and how many devices, one round looks at.
const ROUND: usize = 1_000;
/// How many rounds there are at most.
const ROUNDS: usize = 64;

impl Auth {
    /// Ends what the session began that a logout token names; or, where it names none, what its subject began.
    ///
    /// # Errors
    /// Why nothing ends: the token is not to be trusted, or was taken before.
    pub async fn upstream_logout(&self, id: &str, logout_token: &str) -> Result<(), UpstreamError> {
        let (_, _, provider) = self.provider(id)?;
        let (claims, kind) = self.signed(id, logout_token).await?;
        let fits = kind.is_none_or(|kind| matches!(kind.to_ascii_lowercase().as_str(), "logout+jwt" | "jwt"));
        if !fits {
            return Err(UpstreamError::Denied("another kind of token".to_owned()));
        }
        let logout = of_logout_token(&claims, &provider.issuer, &provider.client_id, self.now())
            .map_err(|problem| UpstreamError::Denied(problem.to_string()))?;
        let key = (Bytes::copy_from_slice(&token::hash(&format!("{id}\0{}", logout.jti))),);
        if self.engine.get_now::<UpstreamLogout>(&key).await?.is_some() {
            return Err(UpstreamError::Denied("a token that was used before".to_owned()));
        }
        self.end_origin(id, &logout).await?;
        // Only now: where something failed, the provider tries again with the same one.
        let mut batch = self.batch("upstream_logout");
        batch.put(&UpstreamLogout { hash: key.0, forgotten_at: logout.forgotten_at });
        self.engine.commit(batch).await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn end_origin(&self, id: &str, logout: &Logout) -> Result<(), StoreError> {
        let session = logout.sid.as_deref().map(|sid| origin(id, Some(sid)));
        let user_id = match &logout.subject {
            Some(subject) => {
                let key = (id.to_owned(), subject.clone());
                let link = self.engine.get_now::<UpstreamLink>(&key).await?;
                link.map(|link| link.user_id)
            }
            None => None,
        };
        let all = format!("{id}:");
        // With a session, what it began, and what its subject began in sessions that the provider did not name.
        let ends = |began: &str| match &session {
            Some(session) => began == session || began == all,
            None => began.starts_with(&all),
        };
        for _ in 0..ROUNDS {
            let snapshot = self.engine.snapshot().await?;
            let found = Began::find(&*snapshot, session.as_deref(), user_id.as_ref(), &ends).await?;
            drop(snapshot);
            if found.browsers.is_empty() && found.devices.is_empty() {
                return Ok(());
            }
            self.end_began(id, found).await?;
        }
        Err(StoreError::Contended)
    }

    async fn end_began(&self, id: &str, found: Began) -> Result<(), StoreError> {
        let users: BTreeSet<OwnedUserId> = found.users();
        for user_id in users {
            let mut batch = self.batch(user_id.as_str());
            for browser in found.browsers.iter().filter(|browser| browser.user_id == user_id) {
                batch.delete::<BrowserSession>(&(browser.hash.clone(),));
            }
            end_unused(&mut batch, &user_id);
            self.record(
                &mut batch,
                &Actor::User(user_id.clone()),
                Act::UpstreamLogOut,
                Some(&user_id),
                Some(id.to_owned()),
            );
            self.commit(batch, &user_id).await?;
            let own = found.devices.iter().filter(|device| device.user_id == user_id);
            let devices: Vec<OwnedDeviceId> = own.map(|device| device.device_id.clone()).collect();
            self.delete_devices_of(&user_id, &devices).await?;
        }
        Ok(())
    }

    pub(super) fn prune_upstream_logouts(&self, batch: &mut Batch) {
        let all = Scan::index::<UpstreamLogout>(UpstreamLogout::BY_END, (), usize::MAX);
        batch.delete_range(all.up_to((self.now(),)));
    }
}

/// What was begun in sessions at a provider.
struct Began {
    browsers: Vec<BrowserSession>,
    devices: Vec<DeviceOrigin>,
}

impl Began {
    async fn find(
        snapshot: &dyn Snapshot,
        session: Option<&str>,
        user_id: Option<&OwnedUserId>,
        ends: &impl Fn(&str) -> bool,
    ) -> Result<Self, StoreError> {
        let (mut browsers, mut devices) = (Vec::new(), Vec::new());
        if let Some(session) = session {
            let key = (Some(session.to_owned()),);
            browsers =
                snapshot.scan(Scan::index::<BrowserSession>(BrowserSession::BY_ORIGIN, key, ROUND)).await?;
            let key = (session.to_owned(),);
            devices = snapshot.scan(Scan::index::<DeviceOrigin>(DeviceOrigin::BY_ORIGIN, key, ROUND)).await?;
        }
        if let Some(user_id) = user_id {
            // A session there that two used is each one's own here.
            browsers.retain(|browser: &BrowserSession| browser.user_id == *user_id);
            devices.retain(|device: &DeviceOrigin| device.user_id == *user_id);
            let own = Scan::index::<BrowserSession>(BrowserSession::BY_USER, (user_id.clone(),), ROUND);
            let own = snapshot.scan::<BrowserSession>(own).await?.into_iter();
            browsers.extend(own.filter(|browser| browser.origin.as_deref().is_some_and(ends)));
            let own =
                snapshot.scan::<DeviceOrigin>(DeviceOrigin::of_user(user_id, usize::MAX)).await?.into_iter();
            devices.extend(own.filter(|device| ends(&device.origin)).take(ROUND));
        }
        Ok(Self { browsers, devices })
    }

    fn users(&self) -> BTreeSet<OwnedUserId> {
        let browsers = self.browsers.iter().map(|browser| browser.user_id.clone());
        browsers.chain(self.devices.iter().map(|device| device.user_id.clone())).collect()
    }
}
