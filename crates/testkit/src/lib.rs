//! Whole servers in one process: the real router over the real services, on the memory engine, a seed and a clock that
//! only the test moves. Requests go straight into the router; no sockets, no sleeps.

mod browser;
mod client;
mod gateway;
mod hang;
mod providers;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use myelin_auth::ProviderFetch;
use myelin_media::MemoryBlobs;
use myelin_notify::Gateway;
use myelin_pdu::SigningKey;
use myelin_runtime::{Clock, Env, ManualClock, Millis, Sealer, Secret};
use myelin_server::admin::{self, Command, Reply};
use myelin_server::compose::{Base, Server};
use myelin_server::config::{Config, Registration};
use myelin_server::front::Front;
use myelin_store::memory::MemoryEngine;
use myelin_store::{Engine, Identity};
use tokio::task::JoinSet;
use tower::ServiceExt;

pub use browser::{Browser, Page};
pub use client::{Answer, Client};
pub use gateway::{Pushed, TestGateway};
pub use providers::TestProviders;

/// How long a server may take to stop.
const STOP: Duration = Duration::from_secs(5);

/// A server in this process.
pub struct TestServer {
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Its store.
    pub engine: Arc<dyn Engine>,
    /// What it takes for every push gateway.
    pub gateway: Arc<TestGateway>,
    /// Where it finds OpenID Connect providers.
    pub providers: Arc<TestProviders>,
    memory: MemoryEngine,
    server: Server,
    front: Front,
    env: Env,
    /// On the heap, so that what holds a server stays small.
    config: Box<Config>,
    seed: u64,
}

impl TestServer {
    /// A server named `hs` with open registration and no rate limits.
    ///
    /// # Panics
    /// When the server can't be made, which fails the test.
    pub async fn new(seed: u64) -> Self {
        let mut config =
            Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
        config.limits.enabled = false;
        Self::with(seed, config).await
    }

    /// A server with the given configuration.
    ///
    /// # Panics
    /// When the server can't be made, which fails the test.
    pub async fn with(seed: u64, config: Config) -> Self {
        let identity = Identity { server_name: config.server_name.clone() };
        let memory = MemoryEngine::new(&identity);
        Box::pin(Self::on(seed, ManualClock::START, Box::new(config), memory, Arc::default(), Arc::default()))
            .await
    }

    /// The same server stopped, and started again on the store it left: everything in memory is gone.
    ///
    /// # Panics
    /// When the server can't be made, which fails the test.
    pub async fn restart(self) -> Self {
        self.env.tasks.stop(STOP).await;
        let Self { gateway, providers, .. } = self;
        Box::pin(Self::on(self.seed + 1, self.clock.now(), self.config, self.memory, gateway, providers))
            .await
    }

    /// The same server stopped, and started again with another configuration.
    ///
    /// # Panics
    /// When the server can't be made, which fails the test.
    pub async fn reconfigure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self.restart().await
    }

    /// The same server after it was killed: it could write nothing more, and is started again.
    ///
    /// # Panics
    /// When the server can't be made, which fails the test.
    pub async fn crash(self) -> Self {
        let left = self.memory.crash();
        // In vain for what would be written; so that nothing goes on in the background of the test.
        self.env.tasks.stop(STOP).await;
        Box::pin(Self::on(self.seed + 1, self.clock.now(), self.config, left, self.gateway, self.providers))
            .await
    }

    async fn on(
        seed: u64,
        now: Millis,
        config: Box<Config>,
        memory: MemoryEngine,
        gateway: Arc<TestGateway>,
        providers: Arc<TestProviders>,
    ) -> Self {
        hang::goes_on();
        let (env, clock) = Env::seeded(seed);
        clock.advance(Duration::from_millis(now - ManualClock::START));
        let engine = Arc::new(memory.clone()) as Arc<dyn Engine>;
        let id = "ed25519:test".parse().expect("a key id");
        let signing_key = SigningKey::from_seed(id, &[1; 32]).expect("an ed25519 key");
        let base = Base {
            engine: Arc::clone(&engine),
            blobs: Arc::new(MemoryBlobs::new()),
            env: env.clone(),
            signing_key,
            sealer: Sealer::new(&[Secret::new([1; 32])], env.random.clone()),
            gateway: Arc::clone(&gateway) as Arc<dyn Gateway>,
            providers: Arc::clone(&providers) as Arc<dyn ProviderFetch>,
        };
        let server = Server::compose(&config, base).await.expect("the server is made");
        Self { clock, engine, memory, gateway, providers, front: server.front(), server, env, config, seed }
    }

    /// Sends a request into the router.
    ///
    /// # Panics
    /// Never: the router answers everything.
    pub async fn request(&self, request: Request<Body>) -> Response<Body> {
        // In a task of its own, as over a connection: it ends where nobody waits for it any more.
        let mut tasks = JoinSet::new();
        tasks.spawn(self.front.clone().oneshot(request));
        match tasks.join_next().await {
            Some(Ok(Ok(response))) => response,
            Some(Ok(Err(never))) => match never {},
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => Response::default(),
        }
    }

    /// What hands requests to it, for another server of the same test.
    #[must_use]
    pub fn front(&self) -> Front {
        self.front.clone()
    }

    /// Does what an operator's command says.
    pub async fn operate(&self, command: Command) -> Reply {
        admin::run(&self.server, command).await
    }

    /// A client without a session.
    #[must_use]
    pub fn anonymous(&self) -> Client<'_> {
        Client::new(self)
    }

    /// Registers a user and answers with their client.
    ///
    /// # Panics
    /// When registration fails, which fails the test.
    pub async fn register(&self, name: &str) -> Client<'_> {
        let mut client = self.anonymous();
        client.register(name).await;
        client
    }
}
