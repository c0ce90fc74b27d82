//! `myelin provider list|check|directory|links|unlink`.

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
    /// Look in the directory for everybody who has an account by it; who is missed twice, an hour apart, is locked
    /// (ldap.lock_removed)
    Directory,
    /// List a user's accounts at providers, and in the directory
    Links {
        /// The name
        name: String,
    },
    /// Take a user's account at a provider away from theirs here, be it their last way to sign in
    Unlink {
        /// The name
        name: String,
        /// The provider's id in the configuration
        id: String,
    },
}

pub(super) fn order(command: ProviderCommand) -> Order {
    match command {
        ProviderCommand::List => Command::ProviderList.into(),
        ProviderCommand::Check { id } => Command::ProviderCheck { id }.into(),
        ProviderCommand::Directory => Command::DirectoryLook.into(),
        ProviderCommand::Links { name } => Command::ProviderLinks { name }.into(),
        ProviderCommand::Unlink { name, id } => Command::ProviderUnlink { name, id }.into(),
    }
}
