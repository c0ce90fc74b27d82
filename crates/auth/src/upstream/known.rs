//! What is known of providers: their configuration and keys, fetched when they are needed and kept for a while.

use std::sync::Arc;
use std::time::Duration;

use myelin_oauth_core::upstream::claims::Claims;
use myelin_oauth_core::upstream::provider::{ProviderMetadata, discovery_url, safe_url};
use myelin_runtime::{Quota, RateLimiter};
use tokio::sync::Mutex;
use url::Url;

use super::keys::{Keys, Unsigned};
use super::{ProviderFetch, ProviderRequest, UpstreamError, UpstreamProvider};
use crate::Auth;

/// For how long what was fetched is taken to be so.
const FRESH: Duration = Duration::from_secs(3_600);
/// For how long it is used where the provider can't be asked anew.
const STALE: Duration = Duration::from_secs(24 * 3_600);
/// How often a provider is asked at most, whatever tokens come and however often it fails.
const PAUSE: Duration = Duration::from_secs(10);

/// The way to providers, and what is known of each.
pub(crate) struct Upstreams {
    pub(super) fetch: Arc<dyn ProviderFetch>,
    /// What bounds the sign-ins that are under way.
    pub(super) attempts: RateLimiter<()>,
    known: Vec<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    known: Option<Arc<Known>>,
    /// When it was last asked, and what stood in the way.
    asked_at: Option<Duration>,
    problem: String,
}

/// A provider's configuration and keys.
pub(super) struct Known {
    pub(super) metadata: ProviderMetadata,
    keys: Keys,
    at: Duration,
}

/// What an operator is told of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderState {
    /// What is to be registered there as redirect URI.
    pub redirect_uri: String,
    /// What is to be registered there as back-channel logout URI.
    pub logout_uri: String,
    /// Where browsers are sent.
    pub authorization_endpoint: String,
    /// How many keys it publishes that this server can use.
    pub keys: usize,
    /// Whether it says that it knows PKCE.
    pub knows_pkce: bool,
    /// Whether it says that it tells of logouts.
    pub tells_of_logouts: bool,
}

impl Upstreams {
    pub(super) fn new(fetch: Arc<dyn ProviderFetch>, providers: usize) -> Self {
        // With the time that a sign-in lives, and until it is swept: 60,000 rows.
        let attempts = RateLimiter::new(Quota { per_second: 10.0, burst: 5_000.0 }, 2);
        let known = (0..providers).map(|_| Mutex::default()).collect();
        Self { fetch, attempts, known }
    }

    /// What a provider says of itself.
    async fn load(&self, provider: &UpstreamProvider, at: Duration) -> Result<Known, String> {
        let place = discovery_url(&provider.issuer);
        let Some(url) = safe_url(&place) else {
            return Err("its issuer is neither https nor http on loopback".to_owned());
        };
        let document = self.get(&url).await?;
        let metadata = ProviderMetadata::parse(&document, &provider.issuer)
            .map_err(|problem| format!("{place}: {problem}"))?;
        let keys = self.get(&metadata.jwks_uri).await?;
        let keys = Keys::parse(&keys)
            .map_err(|problem| format!("{}: these are no keys: {problem}", metadata.jwks_uri))?;
        if keys.len() == 0 {
            return Err(format!("{}: no key there is of a kind that this server knows", metadata.jwks_uri));
        }
        Ok(Known { metadata, keys, at })
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        let request = ProviderRequest { url, authorization: None, form: None };
        let answer = self.fetch.fetch(request).await.map_err(|problem| format!("{url}: {problem}"))?;
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            Err(format!("{url}: it answers {}", answer.status))
        }
    }
}

/// How new what is known must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Recent,
    /// Newer than this.
    After(Duration),
    Now,
}

impl Auth {
    /// What is known of a provider; it is asked where nothing is, or nothing recent.
    pub(super) async fn known(&self, id: &str) -> Result<Arc<Known>, UpstreamError> {
        self.known_as(id, Wanted::Recent).await
    }

    async fn known_as(&self, id: &str, wanted: Wanted) -> Result<Arc<Known>, UpstreamError> {
        let (upstreams, number, provider) = self.provider(id)?;
        let Some(memory) = upstreams.known.get(number) else { return Err(UpstreamError::Unknown) };
        // Whoever comes meanwhile waits for the one answer.
        let mut memory = memory.lock().await;
        let now = self.env.clock.elapsed();
        let age = |known: &Known| now.saturating_sub(known.at);
        let fits = |known: &Arc<Known>| match wanted {
            Wanted::Recent => age(known) < FRESH,
            Wanted::After(at) => known.at > at,
            Wanted::Now => false,
        };
        if let Some(known) = memory.known.clone().filter(fits) {
            return Ok(known);
        }
        let may_ask =
            wanted == Wanted::Now || memory.asked_at.is_none_or(|at| now.saturating_sub(at) >= PAUSE);
        if may_ask {
            memory.asked_at = Some(now);
            match upstreams.load(provider, now).await {
                Ok(known) => {
                    let known = Arc::new(known);
                    memory.known = Some(Arc::clone(&known));
                    memory.problem.clear();
                    return Ok(known);
                }
                Err(problem) => {
                    tracing::warn!(provider = provider.id, problem, "a provider can't be asked");
                    memory.problem = problem;
                }
            }
            if wanted == Wanted::Now {
                return Err(UpstreamError::Provider(memory.problem.clone()));
            }
        }
        let problem = memory.problem.clone();
        memory.known.clone().filter(|known| age(known) < STALE).ok_or(UpstreamError::Provider(problem))
    }

    /// The claims of a token that one of the provider's keys signed. Where the key is unknown, the keys are fetched anew.
    pub(super) async fn signed(
        &self,
        id: &str,
        token: &str,
    ) -> Result<(Claims, Option<String>), UpstreamError> {
        let known = self.known(id).await?;
        let verified = match known.keys.verify(token) {
            Err(Unsigned::Key) => self.known_as(id, Wanted::After(known.at)).await?.keys.verify(token),
            other => other,
        };
        verified.map_err(|problem| UpstreamError::Provider(format!("its token can't be trusted: {problem}")))
    }

    /// What became of asking a provider the last time; nothing where it was not asked yet.
    pub async fn provider_health(&self, id: &str) -> Option<Result<(), String>> {
        let (upstreams, number, _) = self.provider(id).ok()?;
        let memory = upstreams.known.get(number)?.lock().await;
        memory.asked_at?;
        Some(if memory.problem.is_empty() { Ok(()) } else { Err(memory.problem.clone()) })
    }

    /// Asks a provider for its configuration and keys, now.
    ///
    /// # Errors
    /// What stands in the way, in plain words.
    pub async fn check_provider(&self, id: &str) -> Result<ProviderState, UpstreamError> {
        let (_, _, provider) = self.provider(id)?;
        let known = self.known_as(id, Wanted::Now).await?;
        Ok(ProviderState {
            redirect_uri: self.redirect_uri(provider),
            logout_uri: self.logout_uri(provider),
            authorization_endpoint: known.metadata.authorization_endpoint.to_string(),
            keys: known.keys.len(),
            knows_pkce: known.metadata.knows_pkce,
            tells_of_logouts: known.metadata.tells_of_logouts,
        })
    }
}
