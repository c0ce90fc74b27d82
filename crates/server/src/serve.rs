//! `myelin serve`: opens the store, makes the services, listens, and stops in order.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use myelin_media::{FolderBlobs, MemoryBlobs};
use myelin_pdu::SigningKey;
use myelin_runtime::{Env, SealKey, Sealer, Secret};
use myelin_store::memory::MemoryEngine;
use myelin_store::{Engine, Identity};
use myelin_store_sql::{DurabilityMode, SqliteEngine, SqliteOptions};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::compose::{Base, ComposeError, Server};
use crate::config::{Config, ConfigError, Durability};
use crate::front::Front;
use crate::listen::{self, Serving};
use crate::outbound::{Providers, PushGateways};
use crate::seal_keys::{self, SealKeyError};
use crate::signing_key::{self, KeyError};
use crate::{admin, greeting, metrics, tls};

/// Why the server did not start. One line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address.
    #[error("{0}")]
    Listen(io::Error),
    /// The data folder.
    #[error("the data folder {path} can't be used: {problem}")]
    Folder {
        /// The folder.
        path: String,
        /// What stood in the way.
        problem: String,
    },
    /// The store.
    #[error(transparent)]
    Open(#[from] myelin_store::OpenError),
    /// The signing key, or the keys that seal secrets.
    #[error("{0}")]
    Key(String),
    /// The services.
    #[error(transparent)]
    Compose(#[from] ComposeError),
}

impl From<KeyError> for StartError {
    fn from(error: KeyError) -> Self {
        Self::Key(error.to_string())
    }
}

impl From<SealKeyError> for StartError {
    fn from(error: SealKeyError) -> Self {
        Self::Key(error.to_string())
    }
}

/// How long background work may take to end.
const GRACE: Duration = Duration::from_secs(15);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// See [`StartError`]; nothing was damaged.
pub async fn serve(config: &Config) -> Result<(), StartError> {
    // Ports before the store: a second server on the same port ends before it touches anything.
    let listeners = bind(config).await?;
    let env = Env::system();
    let base = open(config, &env).await?;
    let engine = Arc::clone(&base.engine);
    let server = Server::compose(config, base).await?;
    let recorder = metrics::install();
    let serving = Serving {
        service: server.front(),
        tasks: env.tasks.clone(),
        connections: Arc::new(Semaphore::new(config.limits.connections)),
        proxies: config.proxies()?.into(),
    };
    let set_up = set_up(&server).await;
    listeners.spawn(&serving, &metrics::routes(recorder));
    if config.store == "embedded" {
        admin::listen(&config.data_dir, Arc::new(server), &env).map_err(|error| folder(config, &error))?;
    }
    greeting::print(config, set_up.as_deref());
    stop_signal().await;
    tracing::info!("stopping");
    if !env.tasks.stop(GRACE).await {
        tracing::warn!("some work did not end in time; what was acknowledged is safe");
    }
    engine.close().await;
    Ok(())
}

/// Where the first administrator makes their account, on a server that has none.
async fn set_up(server: &Server) -> Option<String> {
    let config = server.auth.config();
    if !config.oauth.enabled || !config.password_login {
        return None;
    }
    match server.auth.set_up().await {
        Ok(shown) => {
            Some(myelin_api::admin::shown::invitation_link(&server.auth.config().public_url, shown?.expose()))
        }
        Err(error) => {
            tracing::warn!(%error, "no link for the first administrator could be made");
            None
        }
    }
}

/// The listeners, bound.
struct Listeners {
    plain: Vec<TcpListener>,
    tls: Vec<(TcpListener, TlsAcceptor)>,
    metrics: Vec<TcpListener>,
}

impl Listeners {
    fn spawn(self, serving: &Serving<Front>, metrics: &Router) {
        for listener in self.plain {
            serving.tasks.spawn("http", listen::serve(listener, None, serving.clone()));
        }
        for (listener, acceptor) in self.tls {
            serving.tasks.spawn("https", listen::serve(listener, Some(acceptor), serving.clone()));
        }
        for listener in self.metrics {
            let serving = Serving {
                service: metrics.clone(),
                tasks: serving.tasks.clone(),
                connections: Arc::clone(&serving.connections),
                proxies: Arc::clone(&serving.proxies),
            };
            serving.tasks.clone().spawn("metrics", listen::serve(listener, None, serving));
        }
    }
}

async fn bind(config: &Config) -> Result<Listeners, StartError> {
    let mut listeners = Listeners { plain: Vec::new(), tls: Vec::new(), metrics: Vec::new() };
    for address in &config.listen {
        listeners.plain.push(listen::bind(address).await.map_err(StartError::Listen)?);
    }
    if let (Some(cert), Some(key)) = (&config.tls.cert, &config.tls.key) {
        let acceptor = tls::acceptor(cert, key)?;
        for address in &config.tls.listen {
            let listener = listen::bind(address).await.map_err(StartError::Listen)?;
            listeners.tls.push((listener, acceptor.clone()));
        }
    }
    for address in &config.metrics.listen {
        listeners.metrics.push(listen::bind(address).await.map_err(StartError::Listen)?);
    }
    Ok(listeners)
}

/// Opens what the services stand on, making what is not there yet.
pub(crate) async fn open(config: &Config, env: &Env) -> Result<Base, StartError> {
    let gateway = Arc::new(PushGateways::new(config.push.allow_private_addresses));
    let providers = Arc::new(Providers::default());
    let identity = Identity { server_name: config.server_name.clone() };
    if config.store == "memory" {
        let seed = env.random.bytes::<32>();
        let id = "ed25519:memory".parse().map_err(|error| StartError::Key(format!("{error}")))?;
        let signing_key =
            SigningKey::from_seed(id, &seed).map_err(|error| StartError::Key(error.to_string()))?;
        let keys: [SealKey; 1] = [Secret::new(env.random.bytes())];
        return Ok(Base {
            engine: Arc::new(MemoryEngine::new(&identity)),
            blobs: Arc::new(MemoryBlobs::new()),
            env: env.clone(),
            signing_key,
            sealer: Sealer::new(&keys, env.random.clone()),
            gateway,
            providers,
        });
    }
    // Before the store, which is written to when it is opened: with a damaged key nothing is touched.
    signing_key::load(&config.data_dir)?;
    seal_keys::load(&config.data_dir)?;
    let engine = open_store(config, &identity)?;
    let signing_key = signing_key::load_or_make(&config.data_dir, &env.random)?;
    let keys = seal_keys::load_or_make(&config.data_dir, &env.random)?;
    let media = config.data_dir.join("media");
    let blobs = FolderBlobs::open(media, env.random.clone()).await.map_err(|error| folder(config, &error))?;
    let sealer = Sealer::new(&keys, env.random.clone());
    let (env, blobs) = (env.clone(), Arc::new(blobs));
    Ok(Base { engine, blobs, env, signing_key, sealer, gateway, providers })
}

/// Opens the embedded store, making its folder where there is none.
pub(crate) fn open_store(config: &Config, identity: &Identity) -> Result<Arc<dyn Engine>, StartError> {
    make_private(&config.data_dir).map_err(|error| folder(config, &error))?;
    let durability = match config.durability {
        Durability::Sync => DurabilityMode::Sync,
        Durability::Relaxed => DurabilityMode::Relaxed,
    };
    let options = SqliteOptions { durability, ..SqliteOptions::default() };
    Ok(Arc::new(SqliteEngine::open(&config.data_dir.join("myelin.db"), identity, options)?))
}

/// Makes the folder, readable by its owner only: it holds keys and messages. Its name, and those of the folders on the
/// way that were missing too, are on disk when this returns.
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.is_dir();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn folder(config: &Config, problem: &dyn std::fmt::Display) -> StartError {
    StartError::Folder { path: config.data_dir.display().to_string(), problem: problem.to_string() }
}

/// Resolves when the process is asked to end.
async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without signals the server runs until it is killed, which it survives.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
