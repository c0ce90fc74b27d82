//! `myelin media show|quarantine|release|delete|usage`.

use clap::{Args, Subcommand};

use super::operate::Order;
use crate::admin::{Command, MediaAction};

#[derive(Debug, Subcommand)]
pub(super) enum MediaCommand {
    /// Tell what is recorded of a file
    Show(File),
    /// Withhold a file, or all files of one content, from everybody
    Quarantine(FileOrContent),
    /// Give free what was withheld
    Release(FileOrContent),
    /// Delete a file and its thumbnails
    Delete(File),
    /// Tell how much a user has uploaded
    Usage {
        /// The name: `alice` or `@alice:example.org`
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct File {
    /// Its URI, `mxc://example.org/...`, or its media id
    target: String,
}

#[derive(Debug, Args)]
pub(super) struct FileOrContent {
    /// The file's URI or media id, or the SHA-256 of a content in 64 hexadecimal digits
    target: String,
}

pub(super) fn order(command: MediaCommand) -> Order {
    let (action, target) = match command {
        MediaCommand::Show(file) => (MediaAction::Show, file.target),
        MediaCommand::Quarantine(file) => (MediaAction::Quarantine, file.target),
        MediaCommand::Release(file) => (MediaAction::Release, file.target),
        MediaCommand::Delete(file) => (MediaAction::Delete, file.target),
        MediaCommand::Usage { name } => return Command::MediaUsage { name }.into(),
    };
    Command::Media { action, target }.into()
}
