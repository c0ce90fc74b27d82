//! Operators' commands: what each does, on a running server (through `admin.sock` in the data folder) or on a stopped
//! one (directly on its store).
//!
//! The socket speaks one JSON object a line: a [`Command`] in, a [`Reply`] out. Whoever may open it administers the
//! server, so it is readable by the server's own user only.

mod access;
mod media;
mod providers;
mod reports;
mod retention;
mod rooms;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use myelin_auth::{AccountInfo, Actor, AdminRights, DeviceInfo, NewAccount, OtherSessions, new_user_id};
use myelin_runtime::{Env, Secret};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::compose::Server;

pub use access::AccessAction;
pub use media::MediaAction;
pub use reports::ReportAction;
pub use retention::RetentionAction;
pub use rooms::RoomAction;

/// The socket's name in the data folder.
const SOCKET: &str = "admin.sock";
/// The longest command, in bytes.
const LONGEST: u64 = 64 * 1024;

/// One command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Makes an account.
    UserAdd {
        /// Its name: a localpart, or a whole user id.
        name: String,
        /// Its password.
        password: String,
        /// Whether it administers the server.
        admin: bool,
    },
    /// Lists accounts.
    UserList {
        /// Those after this user id.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Locks an account: its sessions answer `M_USER_LOCKED`.
    UserLock {
        /// Its name.
        name: String,
    },
    /// Unlocks it.
    UserUnlock {
        /// Its name.
        name: String,
    },
    /// Suspends an account: it reads, and does nothing that others would see.
    UserSuspend {
        /// Its name.
        name: String,
    },
    /// Ends its suspension.
    UserUnsuspend {
        /// Its name.
        name: String,
    },
    /// Lists its devices, and where they were last seen.
    UserDevices {
        /// Its name.
        name: String,
    },
    /// Gives it another password and ends its sessions.
    UserPassword {
        /// Its name.
        name: String,
        /// The new password.
        password: String,
    },
    /// Takes its second factors away.
    UserRemoveFactors {
        /// Its name.
        name: String,
    },
    /// Makes it an administrator, or not.
    UserAdmin {
        /// Its name.
        name: String,
        /// Whether it administers the server.
        admin: bool,
    },
    /// Does something about who gets in.
    Access {
        /// What.
        action: AccessAction,
    },
    /// Makes a registration token.
    TokenAdd {
        /// The token; by default a random one.
        token: Option<String>,
        /// How often it may be used; by default without limit.
        uses: Option<u32>,
        /// After how many seconds it ends; by default never.
        lifetime: Option<u64>,
    },
    /// Lists the configured OpenID Connect providers.
    ProviderList,
    /// Asks them for their configuration.
    ProviderCheck {
        /// One of them, by its id; by default all.
        id: Option<String>,
    },
    /// Looks in the directory for everybody who has an account by it.
    DirectoryLook,
    /// Lists a user's accounts at providers.
    ProviderLinks {
        /// Their name.
        name: String,
    },
    /// Takes one away.
    ProviderUnlink {
        /// Their name.
        name: String,
        /// The provider's id.
        id: String,
    },
    /// Lists registration tokens.
    TokenList,
    /// Deletes one.
    TokenDelete {
        /// The token.
        token: String,
    },
    /// Does something with files of this server.
    Media {
        /// What.
        action: MediaAction,
        /// With which: an `mxc://` URI, a media id, or the SHA-256 of a content.
        target: String,
    },
    /// Does something with a room.
    Room {
        /// What.
        action: RoomAction,
        /// With which: an id, an alias of this server, or a glob to block.
        room: String,
    },
    /// Lists the rooms of this server.
    RoomList {
        /// Those after this room id.
        after: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Keeps a user out of rooms.
    UserBlock {
        /// Their id, or a glob.
        user: String,
        /// Why.
        reason: Option<String>,
    },
    /// No longer.
    UserUnblock {
        /// What was blocked.
        user: String,
    },
    /// Lists the blocks of rooms and users.
    Blocks,
    /// Lists jobs on rooms.
    JobList,
    /// Tells how long history is kept, or deletes what is past its time.
    Retention {
        /// What.
        action: RetentionAction,
    },
    /// Does something with what users reported.
    Report {
        /// What.
        action: ReportAction,
    },
    /// Tells how much a user has uploaded.
    MediaUsage {
        /// Their name.
        name: String,
    },
}

/// What became of a command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was done.
    Done(Value),
    /// It was refused, with the reason as a sentence.
    Failed(String),
}

/// Where the socket of the server with this data folder is.
#[must_use]
pub fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

/// Serves the socket until the server stops.
///
/// # Errors
/// When it can't be made.
pub(crate) fn listen(data_dir: &Path, server: Arc<Server>, env: &Env) -> io::Result<()> {
    let path = socket(data_dir);
    // The store's lock says that no other server lives here, so this one is left from a crash.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let stopping = env.tasks.stopping();
    env.tasks.spawn("admin socket", async move {
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    converse(stream, &server).await;
                },
                () = &mut stopping => break,
            }
        }
        let _ = std::fs::remove_file(path);
    });
    Ok(())
}

/// Answers one command. Operators are few: one at a time will do, and a stalled one is cut off.
async fn converse(stream: UnixStream, server: &Server) {
    let conversation = async {
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        BufReader::new(read.take(LONGEST)).read_line(&mut line).await?;
        let reply = match serde_json::from_str(&line) {
            Ok(command) => run(server, command).await,
            Err(error) => Reply::Failed(format!("this server does not know the command: {error}")),
        };
        let mut text = serde_json::to_string(&reply).unwrap_or_default();
        text.push('\n');
        write.write_all(text.as_bytes()).await
    };
    let _: Result<io::Result<()>, _> =
        tokio::time::timeout(std::time::Duration::from_secs(30), conversation).await;
}

/// Sends a command to a running server.
///
/// # Errors
/// When no server answers there.
pub async fn ask(data_dir: &Path, command: &Command) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(socket(data_dir)).await?;
    let mut text = serde_json::to_string(command)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}

/// Does what a command says.
pub async fn run(server: &Server, command: Command) -> Reply {
    match try_run(server, command).await {
        Ok(value) => Reply::Done(value),
        Err(problem) => Reply::Failed(problem),
    }
}

async fn try_run(server: &Server, command: Command) -> Result<Value, String> {
    let auth = &server.auth;
    let actor = Actor::Operator;
    match command {
        Command::UserAdd { name, password, admin } => {
            let user_id = user_id(server, &name)?;
            let mut new = NewAccount::new(user_id.clone(), Secret::new(password));
            new.is_admin = admin;
            auth.create_account(&actor, new).await.map_err(text)?;
            Ok(json!({ "user_id": user_id }))
        }
        Command::UserList { after, limit } => {
            let after = after.map(|after| user_id(server, &after)).transpose()?;
            let accounts = auth.accounts(after.as_ref(), limit.clamp(1, 1_000)).await.map_err(text)?;
            Ok(accounts.iter().map(account).collect())
        }
        Command::UserLock { name } => {
            auth.lock(&actor, &user_id(server, &name)?).await.map_err(text)?;
            Ok(Value::Null)
        }
        Command::UserUnlock { name } => {
            auth.unlock(&actor, &user_id(server, &name)?).await.map_err(text)?;
            Ok(Value::Null)
        }
        Command::UserSuspend { name } => {
            auth.suspend(&actor, &user_id(server, &name)?).await.map_err(text)?;
            Ok(Value::Null)
        }
        Command::UserUnsuspend { name } => {
            auth.unsuspend(&actor, &user_id(server, &name)?).await.map_err(text)?;
            Ok(Value::Null)
        }
        Command::UserDevices { name } => {
            let user_id = user_id(server, &name)?;
            auth.account(&user_id).await.map_err(text)?.ok_or("there is no such account")?;
            Ok(auth.devices_of(&user_id).await.map_err(text)?.iter().map(device).collect())
        }
        Command::UserPassword { name, password } => {
            let user_id = user_id(server, &name)?;
            auth.reset_password(&actor, &user_id, Secret::new(password), OtherSessions::End)
                .await
                .map_err(text)?;
            Ok(Value::Null)
        }
        Command::UserRemoveFactors { name } => {
            auth.remove_factors(&actor, &user_id(server, &name)?).await.map_err(text)?;
            Ok(Value::Null)
        }
        Command::UserAdmin { name, admin } => {
            let rights = if admin { AdminRights::Granted } else { AdminRights::Revoked };
            auth.set_admin(&actor, &user_id(server, &name)?, rights).await.map_err(text)?;
            Ok(Value::Null)
        }
        Command::Access { action } => access::run(server, action).await,
        Command::TokenAdd { token, uses, lifetime } => access::add_token(server, token, uses, lifetime).await,
        Command::TokenList => access::tokens(server).await,
        Command::TokenDelete { token } => access::delete_token(server, &token).await,
        Command::ProviderList => Ok(providers::list(server)),
        Command::ProviderCheck { id } => providers::check(server, id.as_deref()).await,
        Command::DirectoryLook => providers::look(server).await,
        Command::ProviderLinks { name } => providers::links(server, &name).await,
        Command::ProviderUnlink { name, id } => providers::unlink(server, &name, &id).await,
        Command::Media { action, target } => media::run(server, action, &target).await,
        Command::Room { action, room } => rooms::run(server, action, &room).await,
        Command::RoomList { after, limit } => rooms::list(server, after.as_deref(), limit).await,
        Command::UserBlock { user, reason } => rooms::user(server, &user, reason.as_deref(), true).await,
        Command::UserUnblock { user } => rooms::user(server, &user, None, false).await,
        Command::Blocks => rooms::blocks(server).await,
        Command::JobList => rooms::jobs(server).await,
        Command::Retention { action } => retention::run(server, action).await,
        Command::Report { action } => reports::run(server, action).await,
        Command::MediaUsage { name } => {
            let usage = server.state.media.usage(&user_id(server, &name)?).await.map_err(text)?;
            Ok(json!({ "files": usage.files, "bytes": usage.bytes }))
        }
    }
}

fn account(info: &AccountInfo) -> Value {
    json!({
        "user_id": info.user_id,
        "created_at": info.created_at,
        "admin": info.is_admin,
        "locked_at": info.locked_at,
        "suspended_at": info.suspended_at,
        "deactivated_at": info.deactivated_at,
    })
}

fn device(info: &DeviceInfo) -> Value {
    json!({
        "device_id": info.device_id,
        "display_name": info.display_name,
        "last_seen_ip": info.last_seen_ip,
        "last_seen_at": info.last_seen_ts,
    })
}

/// A user id from a name: a localpart, or a whole user id of this server.
fn user_id(server: &Server, name: &str) -> Result<OwnedUserId, String> {
    let server_name = &server.state.server_name.0;
    if !name.starts_with('@') {
        return new_user_id(name, server_name).map_err(text);
    }
    let user_id = OwnedUserId::try_from(name).map_err(|error| format!("{name} is no user id: {error}"))?;
    if user_id.server_name() == server_name {
        Ok(user_id)
    } else {
        Err(format!("{name} is not a user of this server"))
    }
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}
