//! Commands of operators: on a running server through its socket, on a stopped one on its store.

use std::io::{self, Read};
use std::sync::Arc;

use clap::Subcommand;
use myelin_runtime::Env;
use serde_json::Value;

use super::text;
use crate::admin::{self, Command, Reply};
use crate::compose::Server;
use crate::config::Config;
use crate::serve;

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make an account; without --password-stdin a password is made up and printed
    Add {
        /// The name: `alice` or `@alice:example.org`
        name: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// The user administers the server
        #[arg(long)]
        admin: bool,
    },
    /// List accounts
    List {
        /// Those after this user id
        #[arg(long)]
        after: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Lock an account until it is unlocked
    Lock {
        /// The name
        name: String,
    },
    /// Unlock an account
    Unlock {
        /// The name
        name: String,
    },
    /// Suspend an account: it reads and leaves rooms, and does nothing that others would see
    Suspend {
        /// The name
        name: String,
    },
    /// End a suspension
    Unsuspend {
        /// The name
        name: String,
    },
    /// Keep a user out of rooms: they make none, join none, and ask nobody in. Whole servers by a glob: `@*:example.org`
    Block {
        /// Their id, of this server or another one, or a glob
        user: String,
        /// Why, for other administrators
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lift a block
    Unblock {
        /// What was blocked
        user: String,
    },
    /// List an account's devices, and where they were last seen
    Devices {
        /// The name
        name: String,
    },
    /// Give an account another password and end its sessions
    Password {
        /// The name
        name: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Take every second factor away from an account whose user lost theirs; signs them out on the pages
    RemoveFactors {
        /// The name
        name: String,
    },
    /// Let an account administer the server, or with --revoke no longer
    Admin {
        /// The name
        name: String,
        /// No longer
        #[arg(long)]
        revoke: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token; without --token one is made up
    Add {
        /// The token
        #[arg(long)]
        token: Option<String>,
        /// How many accounts it is good for
        #[arg(long)]
        uses: Option<u32>,
        /// How many seconds it is good for
        #[arg(long)]
        lifetime: Option<u64>,
    },
    /// List tokens
    List,
    /// Delete a token
    Delete {
        /// The token
        token: String,
    },
}

/// A command, and what to tell the operator beside its result.
pub(super) struct Order {
    command: Command,
    made_up: Option<String>,
}

pub(super) fn user(command: UserCommand) -> Result<Order, String> {
    let plain = |command| Ok(Order { command, made_up: None });
    match command {
        UserCommand::Add { name, password_stdin, admin } => {
            let (password, made_up) = password(password_stdin)?;
            Ok(Order { command: Command::UserAdd { name, password, admin }, made_up })
        }
        UserCommand::Password { name, password_stdin } => {
            let (password, made_up) = password(password_stdin)?;
            Ok(Order { command: Command::UserPassword { name, password }, made_up })
        }
        UserCommand::List { after, limit } => plain(Command::UserList { after, limit }),
        UserCommand::Lock { name } => plain(Command::UserLock { name }),
        UserCommand::Unlock { name } => plain(Command::UserUnlock { name }),
        UserCommand::Suspend { name } => plain(Command::UserSuspend { name }),
        UserCommand::Unsuspend { name } => plain(Command::UserUnsuspend { name }),
        UserCommand::Block { user, reason } => plain(Command::UserBlock { user, reason }),
        UserCommand::Unblock { user } => plain(Command::UserUnblock { user }),
        UserCommand::RemoveFactors { name } => plain(Command::UserRemoveFactors { name }),
        UserCommand::Devices { name } => plain(Command::UserDevices { name }),
        UserCommand::Admin { name, revoke } => plain(Command::UserAdmin { name, admin: !revoke }),
    }
}

pub(super) fn token(command: TokenCommand) -> Order {
    let command = match command {
        TokenCommand::Add { token, uses, lifetime } => Command::TokenAdd { token, uses, lifetime },
        TokenCommand::List => Command::TokenList,
        TokenCommand::Delete { token } => Command::TokenDelete { token },
    };
    Order { command, made_up: None }
}

impl From<Command> for Order {
    fn from(command: Command) -> Self {
        Self { command, made_up: None }
    }
}

/// The password from standard input, or one made up.
fn password(from_stdin: bool) -> Result<(String, Option<String>), String> {
    if from_stdin {
        let mut line = String::new();
        io::stdin().take(4_096).read_to_string(&mut line).map_err(text)?;
        return Ok((line.trim_end_matches(['\n', '\r']).to_owned(), None));
    }
    let made_up = Env::system().random.alphanumeric(20);
    Ok((made_up.clone(), Some(made_up)))
}

/// Runs the command where the server is.
pub(super) async fn run(config: &Config, order: Order) -> Result<(), String> {
    let reply = match admin::ask(&config.data_dir, &order.command).await {
        Ok(reply) => reply,
        Err(error) if is_stopped(&error) => on_stopped(config, order.command).await?,
        Err(error) => {
            return Err(format!("the server at {} does not answer: {error}", config.data_dir.display()));
        }
    };
    match reply {
        Reply::Done(value) => {
            print(&value, order.made_up.as_deref());
            Ok(())
        }
        Reply::Failed(problem) => Err(problem),
    }
}

/// No socket, or one that nobody listens on: the server is not running.
fn is_stopped(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

async fn on_stopped(config: &Config, command: Command) -> Result<Reply, String> {
    let env = Env::system();
    let base = serve::open(config, &env).await.map_err(text)?;
    let engine = Arc::clone(&base.engine);
    let server = Server::compose(config, base).await.map_err(text)?;
    let reply = admin::run(&server, command).await;
    env.tasks.stop(std::time::Duration::from_secs(5)).await;
    engine.close().await;
    Ok(reply)
}

#[expect(clippy::print_stdout, reason = "the command's result")]
fn print(value: &Value, made_up: Option<&str>) {
    match value {
        Value::Array(lines) => lines.iter().for_each(|line| println!("{line}")),
        Value::Null => println!("done"),
        other => println!("{other}"),
    }
    if let Some(password) = made_up {
        println!("password: {password}");
    }
}
