//! The release binary as a child process: started on a free port and a folder of its own, killed and started again.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// A Myelin server that ends with the test.
pub struct Server {
    address: SocketAddr,
    folder: TempDir,
    child: Option<Child>,
}

/// How long a server may take until it answers `/health`.
const START: Duration = Duration::from_secs(20);

impl Server {
    /// Starts a server with open registration on an empty folder.
    ///
    /// # Errors
    /// When the binary is missing or does not come up.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("myelin-client-test").tempdir()?;
        let mut server = Self { address: free_address()?, folder, child: None };
        server.run().await?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A place for the clients' own files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// When the process can't be ended.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// Kills the server and starts it again on the same folder and port.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn crash(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        self.run().await
    }

    /// Starts the process and waits until it answers.
    ///
    /// # Errors
    /// When it ends or does not answer in time.
    pub async fn run(&mut self) -> anyhow::Result<()> {
        let binary = binary()?;
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.folder().join("server.log"))?;
        let mut command = Command::new(&binary);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MYELIN_")) {
            command.env_remove(name);
        }
        let mut child = command
            .env("MYELIN_DATA_DIR", self.folder().join("data"))
            .env("MYELIN_LISTEN", self.address.to_string())
            .env("MYELIN_REGISTRATION", "open")
            .env("MYELIN_LIMITS__ENABLED", "false")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let health = format!("{}/health", self.url());
        let answered = tokio::time::timeout(START, async {
            let client = reqwest::Client::new();
            loop {
                if client.get(&health).send().await.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(());
                }
                if let Some(status) = child.try_wait()? {
                    bail!("the server ended with {status}");
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let outcome =
            answered.await.unwrap_or_else(|_| bail!("the server did not answer {health} in {START:?}"));
        if let Err(error) = outcome {
            let log = std::fs::read_to_string(self.folder().join("server.log")).unwrap_or_default();
            bail!("{error}; its log:\n{log}");
        }
        self.child = Some(child);
        Ok(())
    }
}

/// The binary under test, as `TEST_MYELIN_BINARY` names it.
fn binary() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("TEST_MYELIN_BINARY").map(PathBuf::from);
    let path =
        path.context("TEST_MYELIN_BINARY must name the binary under test; `cargo xtask test` sets it")?;
    if !path.is_file() {
        bail!("there is no server binary at {}", path.display());
    }
    Ok(path)
}

/// A port that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
