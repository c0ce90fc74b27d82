//! The binary as a child process: started on a folder and a port, killed, asked to end, and its words kept.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::Client;

/// How long a server may take until it answers `/health`. It takes a tenth of a second on a quiet machine.
const START: Duration = Duration::from_secs(30);

/// Where a server runs, and how it is started.
pub struct Place {
    /// The data folder.
    pub data: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// A program, with its arguments, that starts the server: a tracer for example.
    pub through: Vec<OsString>,
    /// Where standard output and standard error go.
    words: PathBuf,
}

impl Place {
    /// A place on a free port, with open registration and no rate limits; the data is in `folder/data`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new(folder: &Path) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Ok(Self {
            data: folder.join("data"),
            address,
            environment: vec![
                set("MYELIN_REGISTRATION", "open"),
                set("MYELIN_LIMITS__ENABLED", "false"),
                set("MYELIN_LOG__FORMAT", "json"),
            ],
            through: Vec::new(),
            words: folder.to_owned(),
        })
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command for the server, or for an operator's command on it.
    ///
    /// # Errors
    /// When there is no binary.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let binary = binary()?;
        let mut command = match self.through.split_first() {
            None => Command::new(binary),
            Some((program, with)) => {
                let mut command = Command::new(program);
                command.args(with).arg(binary);
                command
            }
        };
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MYELIN_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env("MYELIN_DATA_DIR", &self.data)
            .env("MYELIN_LISTEN", self.address.to_string())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }

    fn open(&self, name: &str) -> Result<File> {
        Ok(OpenOptions::new().create(true).append(true).open(self.words.join(name))?)
    }

    /// What the first server here said on standard output; it may come a moment after the first answer.
    ///
    /// # Errors
    /// When it says nothing in time.
    pub async fn greeting(&self) -> Result<String> {
        for _ in 0..1_000 {
            let said = std::fs::read_to_string(self.words.join("stdout")).unwrap_or_default();
            // The line on the first user is its last.
            if said.contains("first user") && said.ends_with('\n') {
                return Ok(said);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("the server printed no greeting")
    }

    /// What servers here logged since the first.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.words.join("stderr")).unwrap_or_default()
    }
}

/// A running server, killed when it is dropped.
pub struct Myelin {
    /// Where it runs.
    pub place: Place,
    child: Child,
}

impl Myelin {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When it ends instead, or does not answer in time; with its log.
    pub async fn start(place: Place) -> Result<Self> {
        let mut server = Self::spawn(place)?;
        server.answers().await?;
        Ok(server)
    }

    /// Starts a server and does not wait for it.
    ///
    /// # Errors
    /// When the binary can't be run.
    pub fn spawn(place: Place) -> Result<Self> {
        let mut command = place.command(&[])?;
        command.stdout(place.open("stdout")?).stderr(place.open("stderr")?);
        let child = command.spawn().context("starting the server")?;
        Ok(Self { place, child })
    }

    /// Waits until the server answers.
    ///
    /// # Errors
    /// When it ends instead, or does not answer in time; with its log.
    pub async fn answers(&mut self) -> Result<()> {
        let mut client = Client::new(self.place.address);
        let asked = tokio::time::timeout(START, async {
            loop {
                if client.get("/health").await.is_ok_and(|answer| answer.status.is_success()) {
                    return Ok(());
                }
                if let Some(status) = self.child.try_wait()? {
                    bail!("the server ended with {status}");
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let outcome = asked.await.unwrap_or_else(|_| bail!("the server did not answer within {START:?}"));
        outcome.with_context(|| format!("its log:\n{}", self.place.log()))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.place.address
    }

    /// Ends it with SIGKILL, as a crash would, and gives back the place.
    ///
    /// # Errors
    /// When it had ended before by itself.
    pub async fn kill(mut self) -> Result<Place> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server had ended by itself with {status}; its log:\n{}", self.place.log());
        }
        self.child.kill().await?;
        Ok(self.place)
    }

    /// Asks it to end with SIGTERM and waits for that, for `patience` at most.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn terminate(mut self, patience: Duration) -> Result<(Place, ExitStatus)> {
        self.signal("TERM").await?;
        let ended = tokio::time::timeout(patience, self.child.wait()).await;
        let status = ended.with_context(|| format!("the server did not end in {patience:?}"))??;
        Ok((self.place, status))
    }

    /// Holds it still with SIGSTOP: until [`Myelin::go_on`] it keeps its locks and does nothing of its own. Returns once
    /// each of its threads has stopped.
    ///
    /// # Errors
    /// When it has ended, or does not stop in time.
    pub async fn hold(&self) -> Result<()> {
        self.signal("STOP").await?;
        let tasks = format!("/proc/{}/task", self.child.id().context("the server has ended")?);
        let stopped = tokio::time::timeout(START, async {
            while !all_stopped(Path::new(&tasks))? {
                tokio::task::yield_now().await;
            }
            anyhow::Ok(())
        });
        stopped.await.context("the server did not stop")?
    }

    /// Lets it go on after [`Myelin::hold`].
    ///
    /// # Errors
    /// When it has ended.
    pub async fn go_on(&self) -> Result<()> {
        self.signal("CONT").await
    }

    async fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.id().context("the server has ended")?;
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().await?;
        if !sent.success() {
            bail!("kill -{name} failed");
        }
        Ok(())
    }

    /// The place of a server that has ended, or is killed now.
    #[must_use]
    pub fn into_place(self) -> Place {
        self.place
    }

    /// The process id (of the tracer, where the server is started through one).
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }
}

/// Whether each thread in this folder of `/proc` is stopped: the state stands behind the name, which is in brackets.
fn all_stopped(tasks: &Path) -> Result<bool> {
    for task in std::fs::read_dir(tasks)? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        if !stat.rsplit(')').next().is_some_and(|behind| behind.trim_start().starts_with('T')) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a process said, and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub output: String,
    /// Its standard error.
    pub errors: String,
}

/// Runs an operator's command, with something on standard input, and waits for its end.
///
/// # Errors
/// When it can't be run, or does not end in time.
pub async fn run(place: &Place, arguments: &[&str], input: Option<&str>) -> Result<Ended> {
    use tokio::io::AsyncWriteExt as _;
    let mut command = place.command(arguments)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("starting the binary")?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        stdin.write_all(input.as_bytes()).await?;
    }
    ended_within(child, Duration::from_secs(20)).await
}

/// Waits until a process with pipes has ended.
///
/// # Errors
/// When it does not in time; then it is killed.
pub async fn ended_within(child: Child, patience: Duration) -> Result<Ended> {
    let ended = tokio::time::timeout(patience, child.wait_with_output()).await;
    let output = ended.with_context(|| format!("the process did not end in {patience:?}"))??;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ended { status: output.status, output: text(output.stdout), errors: text(output.stderr) })
}

/// The binary under test.
///
/// # Errors
/// When `TEST_MYELIN_BINARY` names none.
pub fn binary() -> Result<PathBuf> {
    let path = std::env::var_os("TEST_MYELIN_BINARY").map(PathBuf::from);
    let path =
        path.context("TEST_MYELIN_BINARY must name the binary under test; `cargo xtask test` sets it")?;
    if !path.is_file() {
        bail!("TEST_MYELIN_BINARY names {}, where no binary is", path.display());
    }
    Ok(path)
}
