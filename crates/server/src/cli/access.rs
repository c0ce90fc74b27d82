//! Commands about who gets in.

use clap::{Args, Subcommand};

use super::operate::Order;
use crate::admin::{AccessAction, Command};

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct InviteCommand {
    /// The account will administer the server
    #[arg(long)]
    admin: bool,
    /// How many days the link is good
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
}

#[derive(Debug, Subcommand)]
pub(super) enum SessionCommand {
    /// List a user's sessions: devices, when they were seen, and their clients
    List {
        /// The name
        name: String,
    },
    /// End a session with its device, or with --all every one, in browsers too
    End {
        /// The name
        name: String,
        /// The device
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        device_id: Option<String>,
        /// Every one
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// List clients
    List {
        /// Those after this id
        #[arg(long)]
        after: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Remove a client and end its sessions; it may register again, and then asks its users anew
    Remove {
        /// Its id
        client_id: String,
    },
}

pub(super) fn invite(command: InviteCommand) -> Order {
    let InviteCommand { admin, days } = command;
    order(AccessAction::Invite { admin, lifetime: u64::from(days) * 86_400 })
}

pub(super) fn session(command: SessionCommand) -> Order {
    order(match command {
        SessionCommand::List { name } => AccessAction::Sessions { name },
        SessionCommand::End { name, device_id: Some(device_id), .. } => {
            AccessAction::EndSession { name, device_id }
        }
        SessionCommand::End { name, device_id: None, .. } => AccessAction::EndSessions { name },
    })
}

pub(super) fn client(command: ClientCommand) -> Order {
    order(match command {
        ClientCommand::List { after, limit } => AccessAction::Clients { after, limit },
        ClientCommand::Remove { client_id } => AccessAction::RemoveClient { client_id },
    })
}

fn order(action: AccessAction) -> Order {
    Command::Access { action }.into()
}
