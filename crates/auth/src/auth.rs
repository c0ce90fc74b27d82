//! The service, and how it writes.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use myelin_model::{Fence, Shard};
use myelin_runtime::{Env, Sealer};
use myelin_store::{Batch, CommitError, Engine, IdBlock, ReadError, Snapshot, reserve_ids};
use ruma::{DeviceId, OwnedDeviceId, UserId};
use tokio::sync::oneshot;

use crate::account::strength::BreachedPasswords;
use crate::directory::Directories;
use crate::email::mail::Mailer;
use crate::email::queue::Mails;
use crate::factor::limit::SecondFailures;
use crate::factor::passkey::RelyingParty;
use crate::guesses::Guesses;
use crate::identity::keys::RsaKeys;
use crate::oauth::OauthLimits;
use crate::registration::shared_secret::Nonces;
use crate::rendezvous::Meetings;
use crate::session::cache::TokenCache;
use crate::session::seen::Seen;
use crate::uia::sessions::UiaSessions;
use crate::upstream::Upstreams;
use crate::{AuthConfig, Newcomers, StoreError};

/// How often a commit is planned again when others changed what it expected.
pub(crate) const ATTEMPTS: u32 = 8;

/// How many devices one commit ends. With what the ports add, that stays well below the size of a batch.
pub(crate) const ENDS_PER_COMMIT: usize = 64;

/// How many session numbers are reserved at once.
const SESSION_BLOCK: i64 = 256;

/// What else goes when a device goes: its keys, its inbox. Implemented for the service that keeps them, and called
/// while the batch that ends the session is built, so that both are one commit.
pub trait SessionEnd: Send + Sync + 'static {
    /// Adds the deletions to the batch, which is written under the shard of the user. By default nothing.
    fn extend(&self, batch: &mut Batch, user_id: &UserId, device_id: &DeviceId) {
        let _ = (batch, user_id, device_id);
    }

    /// The same for what must be read first: all the user's devices that end together. By default nothing.
    fn extend_all<'a>(
        &'a self,
        snapshot: &'a dyn Snapshot,
        batch: &'a mut Batch,
        user_id: &'a UserId,
        device_ids: &'a [OwnedDeviceId],
    ) -> BoxFuture<'a, Result<(), ReadError>> {
        let _ = (snapshot, batch, user_id, device_ids);
        Box::pin(async { Ok(()) })
    }

    /// The device got another display name; adds what must be announced. By default nothing.
    fn renamed(&self, batch: &mut Batch, user_id: &UserId, device_id: &DeviceId) {
        let _ = (batch, user_id, device_id);
    }
}

/// Accounts, sessions and devices.
pub struct Auth {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) env: Env,
    pub(crate) config: AuthConfig,
    pub(crate) ends: Vec<Arc<dyn SessionEnd>>,
    pub(crate) cache: Arc<TokenCache>,
    pub(crate) seen: Seen,
    pub(crate) uia: UiaSessions,
    pub(crate) nonces: Nonces,
    pub(crate) guesses: Option<Guesses>,
    pub(crate) mails: Option<Mails>,
    pub(crate) oauth: OauthLimits,
    pub(crate) meetings: Meetings,
    pub(crate) sealer: Sealer,
    pub(crate) second_failures: Option<SecondFailures>,
    /// Up to which client, by when it was used, was last looked for those that nobody uses.
    pub(crate) swept: Mutex<Option<(i64, String)>>,
    pub(crate) upstreams: Option<Upstreams>,
    pub(crate) relying_party: Option<RelyingParty>,
    pub(crate) breached: Option<Arc<dyn BreachedPasswords>>,
    pub(crate) directory: Option<Directories>,
    pub(crate) newcomers: Option<Arc<dyn Newcomers>>,
    pub(crate) identity_keys: RsaKeys,
    numbers: Mutex<Option<IdBlock>>,
}

/// Whether a commit was applied, or has to be planned again on newer rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    Yes,
    Conflict,
}

impl Auth {
    /// The service over a store. `ends` are told whenever a device goes; `sealer` seals what must not be in the store as it
    /// is.
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        env: Env,
        config: AuthConfig,
        ends: Vec<Arc<dyn SessionEnd>>,
        sealer: Sealer,
    ) -> Self {
        Self {
            guesses: config.limit_failures.then(Guesses::new),
            cache: Arc::new(TokenCache::default()),
            seen: Seen::default(),
            uia: UiaSessions::default(),
            nonces: Nonces::default(),
            mails: None,
            oauth: OauthLimits::new(),
            meetings: Meetings::default(),
            second_failures: config.limit_failures.then(SecondFailures::new),
            relying_party: RelyingParty::of(&config),
            breached: None,
            sealer,
            swept: Mutex::default(),
            upstreams: None,
            directory: None,
            newcomers: None,
            identity_keys: RsaKeys::default(),
            numbers: Mutex::new(None),
            engine,
            env,
            config,
            ends,
        }
    }

    /// The same, with a way to send mail; without one, what needs mail is refused.
    #[must_use]
    pub fn with_mailer(mut self, mailer: Arc<dyn Mailer>) -> Self {
        self.mails = Some(Mails::new(mailer, self.env.clone(), self.config.limit_failures));
        self
    }

    /// What the operator decided.
    #[must_use]
    pub fn config(&self) -> &AuthConfig {
        &self.config
    }

    /// Wall time in milliseconds, as the store keeps it.
    pub(crate) fn now(&self) -> i64 {
        i64::try_from(self.env.clock.now()).unwrap_or(i64::MAX)
    }

    pub(crate) fn batch(&self, owner: &str) -> Batch {
        let shard = Shard::of(owner);
        Batch::new(Fence { shard, epoch: self.engine.epoch(shard) })
    }

    /// Commits, then forgets what the token cache knows of the user.
    ///
    /// Both happen in a task of their own: a client that hangs up between the two must not leave a token in the
    /// cache that the commit has ended.
    pub(crate) async fn commit(&self, batch: Batch, user_id: &UserId) -> Result<Applied, StoreError> {
        self.engine.expect_no_snapshot();
        let (answer, result) = oneshot::channel();
        let (engine, cache) = (Arc::clone(&self.engine), Arc::clone(&self.cache));
        let user_id = user_id.to_owned();
        self.env.tasks.spawn("auth.commit", async move {
            let committed = engine.commit(batch).await;
            cache.forget(&user_id);
            // Nobody waits any more: the client hung up, and the commit stands.
            drop(answer.send(committed));
        });
        match result.await {
            Ok(Ok(_)) => Ok(Applied::Yes),
            Ok(Err(CommitError::Conflict { .. })) => Ok(Applied::Conflict),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(StoreError::Stopping),
        }
    }

    /// A session number that was never used before and never will be again. Not to be asked for by who holds a snapshot: a
    /// new block of numbers takes one of its own, and there are only so many.
    pub(crate) async fn next_session(&self) -> Result<i64, StoreError> {
        let block = || self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = block().as_mut().and_then(IdBlock::take) {
            return Ok(number);
        }
        // Two who find it empty reserve a block each; the numbers of one of them are lost, which is harmless.
        let mut fresh = reserve_ids(&*self.engine, "session", SESSION_BLOCK).await?;
        let number = fresh.take().ok_or(StoreError::Contended)?;
        *block() = Some(fresh);
        Ok(number)
    }
}
