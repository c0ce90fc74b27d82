//! A homeserver under load: one that this program starts, or one that runs somewhere already.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    http::{Connection, Request},
    matrix::{Credentials, Registration, User},
    process::Process,
    trace::Trace,
};

/// How long a server may take to come up. Synapse makes its database first.
const START: Duration = Duration::from_secs(120);
/// How long to wait before asking again whether a server is up.
const AGAIN: Duration = Duration::from_millis(1);

/// A program that can be started on any folder.
pub(crate) trait Program: Sync {
    /// The command that serves from this folder at this address.
    fn command(&self, folder: &Path, address: &str) -> Result<Command>;
}

/// A homeserver that answers.
pub(crate) struct Homeserver {
    /// Host and port.
    pub(crate) address: String,
    registration: Registration,
    /// The process, where this program started it.
    pub(crate) process: Option<Process>,
    /// From the start of the process to the first answer.
    pub(crate) started_in: Duration,
}

impl Homeserver {
    /// A homeserver that somebody else started.
    pub(crate) fn elsewhere(address: String, registration: Registration) -> Result<Self> {
        let server = Self { address, registration, process: None, started_in: Duration::ZERO };
        if !server.answers() {
            bail!("no homeserver answers at http://{}", server.address);
        }
        Ok(server)
    }

    /// Starts a program on a folder and a free port, and waits until it answers.
    pub(crate) fn start(program: &dyn Program, folder: &Path, trace: Option<&Trace>) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = program.command(folder, &address)?;
        if let Some(trace) = trace {
            command = trace.around(&command);
        }
        let log = folder.join("server.log");
        let output = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        command.stdin(std::process::Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let start = Instant::now();
        let process = Process::spawn(&mut command)?;
        let mut server = Self {
            address,
            registration: Registration::default(),
            process: Some(process),
            started_in: START,
        };
        server.wait(start).with_context(|| last_words(&log))?;
        server.started_in = start.elapsed();
        Ok(server)
    }

    fn wait(&mut self, start: Instant) -> Result<()> {
        while !self.answers() {
            if let Some(process) = &mut self.process {
                process.must_be_running()?;
            }
            if start.elapsed() > START {
                bail!("no answer within {START:?}");
            }
            thread::sleep(AGAIN);
        }
        Ok(())
    }

    fn answers(&self) -> bool {
        let request = Request::get("/_matrix/client/versions");
        Connection::new(&self.address).exchange(&request).is_ok_and(|answer| answer.status == 200)
    }

    /// Ends the process where this program started it.
    pub(crate) fn stop(self) -> Result<()> {
        self.process.map_or(Ok(()), Process::stop)
    }

    /// A new user with a session.
    pub(crate) fn user(&self) -> Result<User> {
        User::register(&self.address, &self.registration).map(|(user, _)| user)
    }

    /// How a new user says who they are.
    pub(crate) fn person(&self) -> Result<Credentials> {
        User::register(&self.address, &self.registration).map(|(_, credentials)| credentials)
    }

    /// New users, registered over a few connections at once.
    pub(crate) fn users(&self, number: usize) -> Result<Vec<User>> {
        super::parallel::map(number, |_| self.user())
    }

    /// What the server says it is, where it says so to everybody.
    pub(crate) fn version(&self) -> Option<String> {
        let request = Request::get("/_matrix/federation/v1/version");
        let answer = Connection::new(&self.address).exchange(&request).ok()?;
        let said: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        Some(format!("{} {}", said["server"]["name"].as_str()?, said["server"]["version"].as_str()?))
    }
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!(
        "the server did not come up; its last words:\n{}",
        lines[lines.len().saturating_sub(15)..].join("\n")
    )
}

/// Myelin as built: durable commits, as by default; rate limits off, registration open.
pub(crate) struct Myelin {
    pub(crate) binary: PathBuf,
}

impl Program for Myelin {
    fn command(&self, folder: &Path, address: &str) -> Result<Command> {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MYELIN_") {
                command.env_remove(name);
            }
        }
        command
            .env("MYELIN_DATA_DIR", folder.join("data"))
            .env("MYELIN_LISTEN", address)
            .env("MYELIN_REGISTRATION", "open")
            .env("MYELIN_LIMITS__ENABLED", "false");
        Ok(command)
    }
}
