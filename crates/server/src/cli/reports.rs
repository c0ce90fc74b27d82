//! `myelin report list|show|dismiss`.

use clap::Subcommand;

use super::operate::Order;
use crate::admin::{Command, ReportAction};

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum ReportCommand {
    /// List what users reported and nobody has dismissed, the oldest first
    List {
        /// Those after this report
        #[arg(long)]
        after: Option<i64>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Show one report, with the event that it is about as the reporter saw it
    Show {
        /// Its number
        report: i64,
    },
    /// Delete a report that was looked at
    Dismiss {
        /// Its number
        report: i64,
    },
}

pub(super) fn order(command: ReportCommand) -> Order {
    let action = match command {
        ReportCommand::List { after, limit } => ReportAction::List { after, limit },
        ReportCommand::Show { report } => ReportAction::Show { report },
        ReportCommand::Dismiss { report } => ReportAction::Dismiss { report },
    };
    Command::Report { action }.into()
}
