//! `myelin config check|show|init`.

use clap::Subcommand;

use super::{Place, text};
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Tell whether the configuration can be used
    Check,
    /// Print the configuration in force, environment and defaults included (secrets left out)
    Show,
    /// Print a configuration file to start from
    Init,
}

#[expect(clippy::print_stdout, reason = "printing is what these commands are for")]
pub(super) fn run(command: &ConfigCommand, place: &Place) -> Result<(), String> {
    match command {
        ConfigCommand::Check => {
            place.load().map_err(text)?;
            println!("The configuration is valid.");
        }
        ConfigCommand::Show => {
            let mut config = place.load().map_err(text)?;
            if config.registration_shared_secret.is_some() {
                config.registration_shared_secret = Some("(set)".to_owned());
            }
            if config.oauth.introspection_secret.is_some() {
                config.oauth.introspection_secret = Some("(set)".to_owned());
            }
            for provider in
                config.oauth.providers.iter_mut().filter(|provider| provider.client_secret.is_some())
            {
                provider.client_secret = Some("(set)".to_owned());
            }
            if config.ldap.bind_password.is_some() {
                config.ldap.bind_password = Some("(set)".to_owned());
            }
            if config.turn.shared_secret.is_some() {
                config.turn.shared_secret = Some("(set)".to_owned());
            }
            if config.email.smtp_url.is_some() {
                config.email.smtp_url = Some("(set)".to_owned());
            }
            print!("{}", toml::to_string(&config).map_err(text)?);
        }
        ConfigCommand::Init => {
            println!(
                "# Every key may also come from the environment: MYELIN_SERVER_NAME, MYELIN_TLS__CERT, ..."
            );
            print!("{}", toml::to_string(&Config::default()).map_err(text)?);
        }
    }
    Ok(())
}
