//! OpenID Connect providers that people may sign in with.

use std::collections::HashSet;
use std::path::PathBuf;

use myelin_auth::{ExistingAccount, SaysWhen, UpstreamProvider};
use myelin_oauth_core::upstream::mapping::Mapping;
use myelin_oauth_core::upstream::provider::safe_url;
use myelin_runtime::Secret;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// The most providers: one button each on a page.
const MOST: usize = 16;
/// The longest id, in bytes.
const MAX_ID: usize = 32;

/// A provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// By which it is known here, for good: letters, digits, `-` and `_`.
    pub id: String,
    /// What people call it; the id by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its issuer, to the letter.
    pub issuer: String,
    /// What this server is called there.
    pub client_id: String,
    /// The secret that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// A file that holds the secret, in place of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The template of user names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localpart: Option<String>,
    /// The template of display names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The template of e-mail addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What becomes of somebody whose name is that of an account.
    #[serde(default)]
    pub existing_account: Existing,
    /// Whether people may make accounts by it.
    #[serde(default = "yes")]
    pub sign_up: bool,
    /// Whether it always says when somebody showed who they are.
    #[serde(default)]
    pub auth_time: AuthTime,
}

/// Whether a provider says when somebody showed who they are (`auth_time`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthTime {
    /// It must, where that matters.
    #[default]
    Required,
    /// It need not; its word that it asks is taken.
    Optional,
}

/// What becomes of somebody whose name is that of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Existing {
    /// They choose another one.
    #[default]
    Apart,
    /// The account is theirs.
    Connect,
}

impl From<Existing> for ExistingAccount {
    fn from(existing: Existing) -> Self {
        match existing {
            Existing::Apart => Self::Apart,
            Existing::Connect => Self::Theirs,
        }
    }
}

fn scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

const fn yes() -> bool {
    true
}

/// The providers, with their secrets read.
///
/// # Errors
/// Which of them can't be used, and why.
pub(super) fn checked(providers: &[Provider]) -> Result<Vec<UpstreamProvider>, ConfigError> {
    if providers.len() > MOST {
        return wrong("there may be 16 at most".to_owned());
    }
    let mut ids = HashSet::new();
    providers
        .iter()
        .map(|provider| {
            if !ids.insert(&provider.id) {
                return wrong(format!("two have the id {:?}", provider.id));
            }
            provider.checked().or_else(|problem| wrong(format!("{:?}: {problem}", provider.id)))
        })
        .collect()
}

fn wrong<T>(problem: String) -> Result<T, ConfigError> {
    Err(ConfigError::Value { key: "oauth.providers", problem })
}

impl Provider {
    fn checked(&self) -> Result<UpstreamProvider, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.id.is_empty() || self.id.len() > MAX_ID || !self.id.chars().all(is_plain) {
            return Err("an id has up to 32 letters, digits, - and _".to_owned());
        }
        if self.id == myelin_auth::DIRECTORY {
            return Err("this id is that of the directory; choose another one".to_owned());
        }
        if safe_url(&self.issuer).is_none() {
            return Err("issuer must be an https URL (or http on loopback)".to_owned());
        }
        if self.client_id.is_empty() {
            return Err("client_id is empty".to_owned());
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return Err("scopes must contain openid".to_owned());
        }
        let (localpart, display_name) = (self.localpart.as_deref(), self.display_name.as_deref());
        let mapping = Mapping::new(localpart, display_name, self.email.as_deref())
            .map_err(|problem| format!("a template can't be read: {problem}"))?;
        Ok(UpstreamProvider {
            id: self.id.clone(),
            name: self.name.clone().unwrap_or_else(|| self.id.clone()),
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.secret()?.map(Secret::new),
            scopes: self.scopes.clone(),
            mapping,
            existing: self.existing_account.into(),
            sign_up: self.sign_up,
            says_when: match self.auth_time {
                AuthTime::Required => SaysWhen::Always,
                AuthTime::Optional => SaysWhen::NotAlways,
            },
        })
    }

    fn secret(&self) -> Result<Option<String>, String> {
        match (&self.client_secret, &self.client_secret_file) {
            (Some(_), Some(_)) => Err("client_secret and client_secret_file exclude each other".to_owned()),
            (secret, None) => Ok(secret.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                let text =
                    text.map_err(|error| format!("client_secret_file {} : {error}", path.display()))?;
                let secret = text.trim().to_owned();
                if secret.is_empty() {
                    Err("client_secret_file is empty".to_owned())
                } else {
                    Ok(Some(secret))
                }
            }
        }
    }
}
