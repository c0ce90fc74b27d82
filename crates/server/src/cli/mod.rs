//! The command line.

mod access;
mod config;
mod media;
mod operate;
mod providers;
mod reports;
mod retention;
mod rooms;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError};
use crate::{logging, serve};

/// A complete Matrix homeserver in one program.
#[derive(Debug, Parser)]
#[command(name = "myelin", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Which server is meant.
#[derive(Debug, Args)]
struct Place {
    /// The configuration file (TOML); without one, the environment and the defaults decide
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder, in place of the configured one
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve,
    /// Check, show or make a configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make, list, lock and change accounts
    #[command(subcommand)]
    User(operate::UserCommand),
    /// List and check the OpenID Connect providers that people sign in with
    #[command(subcommand)]
    Provider(providers::ProviderCommand),
    /// Invite somebody: print a link by which they make an account, once, whoever else may make one
    Invite(access::InviteCommand),
    /// List and end sessions
    #[command(subcommand)]
    Session(access::SessionCommand),
    /// List and remove clients that log in by OAuth 2.0
    #[command(subcommand)]
    Client(access::ClientCommand),
    /// Make, list and delete registration tokens
    #[command(subcommand)]
    RegistrationToken(operate::TokenCommand),
    /// Block, list and shut down rooms
    #[command(subcommand)]
    Room(rooms::RoomCommand),
    /// Work on rooms that takes a while
    #[command(subcommand)]
    Job(rooms::JobCommand),
    /// Show how long history is kept, and delete what is past its time
    #[command(subcommand)]
    Retention(retention::RetentionCommand),
    /// List, show and dismiss what users reported
    #[command(subcommand)]
    Report(reports::ReportCommand),
    /// Show, withhold and delete uploaded files
    #[command(subcommand)]
    Media(media::MediaCommand),
}

impl Place {
    fn load(&self) -> Result<Config, ConfigError> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(folder) = &self.data_dir {
            config.data_dir.clone_from(folder);
        }
        Ok(config)
    }
}

/// Runs the program. A failure is one line on standard error and a non-zero exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one line an operator gets when the program can't do what it was told"
)]
fn complain(problem: &str) {
    eprintln!("myelin: {}", problem.replace('\n', " "));
}

fn run(cli: Cli) -> Result<(), String> {
    if let Some(Command::Config(command)) = &cli.command {
        return config::run(command, &cli.place);
    }
    let config = cli.place.load().map_err(text)?;
    logging::start(&config.log).map_err(text)?;
    let workers = std::thread::available_parallelism().map_or(2, usize::from).max(4);
    // Reads of the embedded store run on these threads; a few more than cores keep one slow read from holding up others.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_stack_size(1024 * 1024)
        .enable_all()
        .build()
        .map_err(text)?;
    runtime.block_on(async {
        match cli.command {
            None | Some(Command::Serve) => serve::serve(&config).await.map_err(text),
            Some(Command::User(command)) => operate::run(&config, operate::user(command)?).await,
            Some(Command::Invite(command)) => operate::run(&config, access::invite(command)).await,
            Some(Command::Session(command)) => operate::run(&config, access::session(command)).await,
            Some(Command::Client(command)) => operate::run(&config, access::client(command)).await,
            Some(Command::RegistrationToken(command)) => operate::run(&config, operate::token(command)).await,
            Some(Command::Provider(command)) => operate::run(&config, providers::order(command)).await,
            Some(Command::Room(command)) => operate::run(&config, rooms::order(command)).await,
            Some(Command::Job(command)) => operate::run(&config, rooms::job(command)).await,
            Some(Command::Retention(command)) => operate::run(&config, retention::order(command)).await,
            Some(Command::Report(command)) => operate::run(&config, reports::order(command)).await,
            Some(Command::Media(command)) => operate::run(&config, media::order(command)).await,
            Some(Command::Config(_)) => Ok(()),
        }
    })
}

fn text(error: impl std::error::Error) -> String {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !chain.contains(&cause_text) {
            chain.push_str(": ");
            chain.push_str(&cause_text);
        }
        source = cause.source();
    }
    chain
}
