//! `myelin retention show|run`.

use clap::Subcommand;

use super::operate::Order;
use crate::admin::{Command, RetentionAction};

#[derive(Debug, Subcommand)]
pub(super) enum RetentionCommand {
    /// Show for how long history is kept, in milliseconds, and what the last pass deleted
    Show {
        /// In this room: its id, or an alias of this server
        room: Option<String>,
    },
    /// Delete what is past its time now, in every room
    Run,
}

pub(super) fn order(command: RetentionCommand) -> Order {
    let action = match command {
        RetentionCommand::Show { room } => RetentionAction::Show { room },
        RetentionCommand::Run => RetentionAction::Run,
    };
    Command::Retention { action }.into()
}
