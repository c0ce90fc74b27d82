//! `myelin room block|unblock|blocks|list|shutdown|purge-history|purge`, `myelin job list`.

use clap::{Args, Subcommand};

use super::operate::Order;
use crate::admin::{Command, RoomAction};

#[derive(Debug, Subcommand)]
pub(super) enum RoomCommand {
    /// Keep a room out of this server: nobody joins it, is asked into it or sends anything into it
    Block {
        #[command(flatten)]
        room: Room,
        /// Why, for other administrators
        #[arg(long)]
        reason: Option<String>,
    },
    /// Lift a block
    Unblock(Room),
    /// List the blocks of rooms and users
    Blocks,
    /// List the rooms of this server
    List {
        /// Those after this room id
        #[arg(long)]
        after: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Delete what was written in a room up to some place; its state stays, and so do media
    PurgeHistory {
        #[command(flatten)]
        room: Room,
        /// An event id, or a time in milliseconds since 1970: what was before it goes
        #[arg(long)]
        before: String,
    },
    /// Delete a room that nobody of this server is in, with all that belongs to it
    Purge(Room),
    /// Block a room, take this server's members out of it, and its aliases away
    Shutdown {
        #[command(flatten)]
        room: Room,
        /// What its members are told, by a server notice
        #[arg(long)]
        message: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum JobCommand {
    /// List jobs on rooms, the latest first
    List,
}

#[derive(Debug, Args)]
pub(super) struct Room {
    /// Its id, or an alias of this server; to block, also a glob
    room: String,
}

pub(super) fn order(command: RoomCommand) -> Order {
    let (action, room) = match command {
        RoomCommand::Block { room, reason } => (RoomAction::Block { reason }, room),
        RoomCommand::Unblock(room) => (RoomAction::Unblock, room),
        RoomCommand::PurgeHistory { room, before } => (RoomAction::PurgeHistory { before }, room),
        RoomCommand::Purge(room) => (RoomAction::Purge, room),
        RoomCommand::Shutdown { room, message } => (RoomAction::ShutDown { message }, room),
        RoomCommand::Blocks => return Command::Blocks.into(),
        RoomCommand::List { after, limit } => return Command::RoomList { after, limit }.into(),
    };
    Command::Room { action, room: room.room }.into()
}

pub(super) fn job(command: JobCommand) -> Order {
    match command {
        JobCommand::List => Command::JobList.into(),
    }
}
