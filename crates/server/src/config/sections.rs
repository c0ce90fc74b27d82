//! The sections of the configuration.

use std::path::PathBuf;

use ruma::UserId;
use serde::{Deserialize, Serialize};

use super::lists;

/// What a power cut may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Nothing that was acknowledged.
    Sync,
    /// The last 100 ms of messages; never key claims, sessions or anything federated.
    Relaxed,
}

/// Who may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Nobody; the operator makes accounts.
    Closed,
    /// Whoever has a registration token.
    Token,
    /// Anyone.
    Open,
}

/// The shortest password that a server may take of its users, and the longest that it may ask for, in characters.
const MIN_PASSWORD: std::ops::RangeInclusive<usize> = 4..=128;

/// Passwords.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Passwords {
    /// How many characters a password has at least that users choose; operators may choose shorter ones for them.
    pub minimum_length: usize,
    /// Whether people may log in with a password. Without, they do at a provider (`oauth.providers`).
    pub login: bool,
    /// How hard it is to guess at least, from 0 (anything) to 4; operators may choose any.
    pub minimum_score: u8,
    /// A file of hashes of stolen passwords, none of which users may choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breached_file: Option<PathBuf>,
    /// A service that knows such hashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breached_url: Option<String>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { minimum_length: 8, login: true, minimum_score: 2, breached_file: None, breached_url: None }
    }
}

impl Passwords {
    /// What is wrong, with its key.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        if !MIN_PASSWORD.contains(&self.minimum_length) {
            return Some(("passwords.minimum_length", "is a number of characters from 4 to 128"));
        }
        if self.minimum_score > 4 {
            return Some(("passwords.minimum_score", "is a number from 0 to 4"));
        }
        if self.breached_file.is_some() && self.breached_url.is_some() {
            return Some((
                "passwords.breached_url",
                "is of no use beside passwords.breached_file: name one of them",
            ));
        }
        let is_bad = |url: &String| !url.ends_with('/') || reqwest::Url::parse(url).is_err();
        if self.breached_url.as_ref().is_some_and(is_bad) {
            return Some(("passwords.breached_url", "is a URL that ends with a slash"));
        }
        None
    }
}

/// HTTPS listeners.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Addresses.
    #[serde(deserialize_with = "lists::comma_separated")]
    pub listen: Vec<String>,
    /// The certificate chain, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// The private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// Talking to other servers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Federation {
    /// Default: on, unless the server name is `localhost`. This release does not federate yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// One CA file more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_ca: Option<PathBuf>,
    /// Whether outbound requests may go to loopback and private networks.
    pub allow_private_addresses: bool,
}

/// Rate limits and sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Whether there are rate limits. Off only for benchmarks and conformance suites.
    pub enabled: bool,
    /// How many connections may be open at once.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { enabled: true, connections: 16_384 }
    }
}

/// Uploaded files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// The largest upload, in bytes.
    pub max_upload_size: u64,
    /// How many bytes one user's files may have together; by default without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_user_bytes: Option<u64>,
    /// How many files one user may have; by default without limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_user_files: Option<u64>,
}

impl Default for Media {
    fn default() -> Self {
        Self { max_upload_size: 50 * 1024 * 1024, max_user_bytes: None, max_user_files: None }
    }
}

/// Previews of web pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UrlPreviews {
    /// Whether there are any.
    pub enabled: bool,
    /// Whether pages may be on loopback and private networks.
    pub allow_private_addresses: bool,
    /// The ports that are asked; where the list is empty, all.
    #[serde(deserialize_with = "lists::ports")]
    pub ports: Vec<u16>,
}

impl Default for UrlPreviews {
    fn default() -> Self {
        Self { enabled: true, allow_private_addresses: false, ports: vec![80, 443] }
    }
}

/// Requests to push gateways.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Push {
    /// Whether users' push gateways may be on loopback and private networks, and then be reached by plain HTTP.
    pub allow_private_addresses: bool,
}

/// Identity servers, which know whose an e-mail address is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IdentityServers {
    /// Whether users may invite people by their address, through an identity server that they name.
    pub enabled: bool,
    /// The ones that they may name, each a host or a host with a port; any where the list is empty.
    #[serde(deserialize_with = "lists::comma_separated")]
    pub allowed: Vec<String>,
    /// Whether they may be on loopback (and then be reached by plain HTTP) and private networks.
    pub allow_private_addresses: bool,
}

impl Default for IdentityServers {
    fn default() -> Self {
        Self { enabled: true, allowed: Vec::new(), allow_private_addresses: false }
    }
}

/// Who is online.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Presence {
    /// Whether users of this server tell each other. If not, everybody is offline.
    pub enabled: bool,
}

impl Default for Presence {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Relays for calls.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Turn {
    /// Their URIs; none by default.
    #[serde(deserialize_with = "lists::comma_separated")]
    pub uris: Vec<String>,
    /// What they share with this server (`static-auth-secret` of coturn).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_secret: Option<String>,
    /// How long the credentials of a user are good for, in seconds.
    pub user_lifetime: u64,
}

impl Default for Turn {
    fn default() -> Self {
        Self { uris: Vec::new(), shared_secret: None, user_lifetime: 86_400 }
    }
}

impl Turn {
    /// The key and the problem, where it can't be used.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let is_turn = |uri: &String| uri.starts_with("turn:") || uri.starts_with("turns:");
        if !self.uris.iter().all(is_turn) {
            return Some(("turn.uris", "must begin with turn: or turns:"));
        }
        if !self.uris.is_empty() && self.shared_secret.as_ref().is_none_or(String::is_empty) {
            return Some(("turn.shared_secret", "must be set where turn.uris is, as the TURN server has it"));
        }
        let year = 365 * 86_400;
        let fits = (60..=year).contains(&self.user_lifetime);
        (!fits).then_some(("turn.user_lifetime", "must be between a minute and a year, in seconds"))
    }
}

/// Mail, for confirming addresses and resetting passwords.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Email {
    /// The mail server: `smtps://user:password@mail.example.org`, or `smtp://...` with `?tls=required` (STARTTLS). Without
    /// one no mail is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp_url: Option<String>,
    /// Whom mails come from, such as `Example <matrix@example.org>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether nobody registers without an address.
    pub required_to_register: bool,
    /// The hosts that a browser may be sent to after an address was confirmed; any where the list is empty.
    #[serde(deserialize_with = "lists::comma_separated")]
    pub next_link_domains: Vec<String>,
}

/// How to reach who runs the server (`/.well-known/matrix/support`).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Support {
    /// A page with help for its users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// Whom to ask.
    pub contacts: Vec<Contact>,
}

/// Somebody to ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// A user id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix_id: Option<String>,
    /// An e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_address: Option<String>,
    /// What to ask them: `m.role.admin` (the default), `m.role.security`, or a namespaced identifier.
    #[serde(default = "admin")]
    pub role: String,
}

fn admin() -> String {
    "m.role.admin".to_owned()
}

impl Support {
    /// The key and the problem, where it can't be used.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        let is_web = |page: &String| page.starts_with("https://") || page.starts_with("http://");
        if !self.page.as_ref().is_none_or(is_web) {
            return Some(("support.page", "must begin with https:// or http://"));
        }
        let is_contact = |contact: &Contact| {
            let is_user = |id: &String| <&UserId>::try_from(id.as_str()).is_ok();
            let is_address = |address: &String| address.contains('@');
            contact.matrix_id.as_ref().is_none_or(is_user)
                && contact.email_address.as_ref().is_none_or(is_address)
                && (contact.matrix_id.is_some() || contact.email_address.is_some())
        };
        let fits = self.contacts.iter().all(is_contact);
        (!fits).then_some(("support.contacts", "each needs a matrix_id or an email_address, or both"))
    }
}

/// Prometheus metrics.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Addresses that serve `GET /metrics`; none by default.
    #[serde(deserialize_with = "lists::comma_separated")]
    pub listen: Vec<String>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs, to standard error.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A level (`error`, `warn`, `info`, `debug`, `trace`), or a filter such as `info,myelin_rooms=debug`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}
