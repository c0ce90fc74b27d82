//! `myelin provider list|check`.

use clap::Subcommand;

use super::operate::Order;
use crate::admin::Command;

#[derive(Debug, Subcommand)]
pub(super) enum ProviderCommand {
    /// List the OpenID Connect providers, with the addresses to register there
    List,
    /// Ask a provider for its configuration and keys, and say what is wrong; without an id, all of them
    Check {
        /// Its id in the configuration
        id: Option<String>,
    },
}

pub(super) fn order(command: ProviderCommand) -> Order {
    match command {
        ProviderCommand::List => Command::ProviderList.into(),
        ProviderCommand::Check { id } => Command::ProviderCheck { id }.into(),
    }
}
