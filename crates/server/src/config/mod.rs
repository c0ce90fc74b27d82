//! The configuration: one file, the environment on top, defaults below.
//!
//! The names of the keys are an outward contract (see `docs/configuration.md`). An unknown key is an error: a typing
//! mistake must not pass for a default.

mod branding;
mod ldap;
mod lists;
mod oauth;
mod providers;
mod retention;
mod sections;
mod terms;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use myelin_auth::UpstreamProvider;
use myelin_language::{LOCALES, Language};
use myelin_pdu::RoomVersionId;
use myelin_rooms::{PolicyList, room_versions};
use ruma::{OwnedServerName, ServerName};
use serde::{Deserialize, Serialize};

use crate::outbound::{BadSmtp, Smtp};

pub use branding::{Branding, FootLink, LinkAbout, LinkText};
pub use ldap::Ldap;
pub use oauth::{LegacyLogin, Oauth};
pub use providers::{AuthTime, Existing, Provider};
pub use retention::Retention;
pub use sections::{
    Contact, Durability, Email, Federation, IdentityServers, Limits, Log, LogFormat, Media, Metrics,
    Passwords, Presence, Push, Registration, Support, Tls, Turn, UrlPreviews,
};
pub use terms::{Terms, TermsText};

/// Everything an operator can set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name that user ids and room aliases end with. It can't be changed later.
    pub server_name: String,
    /// Where clients reach this server; default `https://` and the server name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// The language of pages and mails for who reads none of those that there are, or has not said.
    pub language: String,
    /// The folder that holds everything: the store, media, the signing key, the admin socket.
    pub data_dir: PathBuf,
    /// Addresses of plain HTTP, all APIs.
    #[serde(deserialize_with = "lists::comma_separated")]
    pub listen: Vec<String>,
    /// Addresses or networks of proxies whose `X-Forwarded-For` is believed.
    #[serde(deserialize_with = "lists::comma_separated")]
    pub trusted_proxies: Vec<String>,
    /// `embedded`, or `memory` for tests (everything is lost at the end).
    pub store: String,
    /// What a power cut may take.
    pub durability: Durability,
    /// Who may make an account.
    pub registration: Registration,
    /// Turns on the shared-secret registration endpoint that existing tools use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_shared_secret: Option<String>,
    /// The version of rooms whose creator asks for none.
    pub default_room_version: String,
    /// Rooms whose moderation policies are followed, by id or by an alias of this server.
    #[serde(deserialize_with = "lists::comma_separated")]
    pub policy_lists: Vec<String>,
    /// How long history is kept.
    pub retention: Retention,
    /// Passwords.
    pub passwords: Passwords,
    /// A directory of people.
    pub ldap: Ldap,
    /// Logging in through the browser.
    pub oauth: Oauth,
    /// How the pages look.
    pub branding: Branding,
    /// What people accept before they use an account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<Terms>,
    /// Logging in without one.
    pub legacy_login: LegacyLogin,
    /// HTTPS listeners.
    pub tls: Tls,
    /// Talking to other servers.
    pub federation: Federation,
    /// Rate limits and sizes.
    pub limits: Limits,
    /// Uploaded files.
    pub media: Media,
    /// Requests to push gateways.
    pub push: Push,
    /// Asking whose an address is.
    pub identity_servers: IdentityServers,
    /// Who is online.
    pub presence: Presence,
    /// Relays for calls.
    pub turn: Turn,
    /// Previews of web pages.
    pub url_previews: UrlPreviews,
    /// Mail.
    pub email: Email,
    /// How to reach who runs the server.
    pub support: Support,
    /// Prometheus metrics.
    pub metrics: Metrics,
    /// Logs.
    pub log: Log,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: "localhost".to_owned(),
            public_url: None,
            language: LOCALES[0].to_owned(),
            data_dir: PathBuf::from("./myelin-data"),
            listen: vec!["127.0.0.1:8008".to_owned()],
            trusted_proxies: Vec::new(),
            store: "embedded".to_owned(),
            durability: Durability::Sync,
            registration: Registration::Closed,
            registration_shared_secret: None,
            default_room_version: RoomVersionId::DEFAULT.as_str().to_owned(),
            policy_lists: Vec::new(),
            retention: Retention::default(),
            passwords: Passwords::default(),
            ldap: Ldap::default(),
            oauth: Oauth::default(),
            branding: Branding::default(),
            terms: Vec::new(),
            legacy_login: LegacyLogin::default(),
            tls: Tls::default(),
            federation: Federation::default(),
            limits: Limits::default(),
            media: Media::default(),
            push: Push::default(),
            identity_servers: IdentityServers::default(),
            presence: Presence::default(),
            turn: Turn::default(),
            url_previews: UrlPreviews::default(),
            email: Email::default(),
            support: Support::default(),
            metrics: Metrics::default(),
            log: Log::default(),
        }
    }
}

/// Why a configuration can't be used. One line, naming the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or not readable.
    #[error("the configuration file {path} can't be read: {problem}")]
    File {
        /// Its path.
        path: String,
        /// What stood in the way.
        problem: String,
    },
    /// It does not have the form it should have.
    #[error("configuration: {0}")]
    Form(String),
    /// A key has a value that can't work.
    #[error("configuration key {key}: {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl Config {
    /// Reads the file, if one is given, and the environment, and checks every value.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|error| ConfigError::File {
                path: path.display().to_string(),
                problem: error.to_string(),
            })?;
            figment = figment.merge(Toml::string(&text));
        }
        let config: Self = figment
            .merge(Env::prefixed("MYELIN_").split("__"))
            .extract()
            .map_err(|error| ConfigError::Form(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The server name, parsed.
    ///
    /// # Errors
    /// When it is none.
    pub fn server_name(&self) -> Result<OwnedServerName, ConfigError> {
        ServerName::parse(&*self.server_name).map_err(|_| ConfigError::Value {
            key: "server_name",
            problem: format!("{:?} is no server name; use a domain such as example.org", self.server_name),
        })
    }

    /// Where clients reach this server, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if self.is_local() => {
                let first = self.listen.first().map_or("127.0.0.1:8008", String::as_str);
                format!("http://{first}")
            }
            None => format!("https://{}", self.server_name),
        }
    }

    /// Whether this server has no name that others could reach.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.server_name.split(':').next() == Some("localhost")
    }

    /// The version of rooms whose creator asks for none.
    ///
    /// # Errors
    /// When this server makes no rooms of it.
    pub fn default_room_version(&self) -> Result<RoomVersionId, ConfigError> {
        let wanted = room_versions().find(|version| version.as_str() == self.default_room_version);
        wanted.ok_or_else(|| ConfigError::Value {
            key: "default_room_version",
            problem: format!(
                "this server makes no rooms of version {:?}; the newest is {}",
                self.default_room_version,
                RoomVersionId::DEFAULT
            ),
        })
    }

    /// The rooms whose moderation policies are followed.
    ///
    /// # Errors
    /// Where one is neither a room id nor an alias.
    pub fn policy_lists(&self) -> Result<Vec<PolicyList>, ConfigError> {
        let parse = |list: &String| {
            list.parse().map_err(|error| ConfigError::Value {
                key: "policy_lists",
                problem: format!("{list:?} is neither a room id nor an alias: {error}"),
            })
        };
        self.policy_lists.iter().map(parse).collect()
    }

    /// The language of pages and mails for who has not said theirs.
    ///
    /// # Errors
    /// Where there is nothing in it.
    pub fn language(&self) -> Result<Language, ConfigError> {
        let known = LOCALES.contains(&self.language.as_str());
        Language::of_tag(&self.language).filter(|_| known).ok_or_else(|| ConfigError::Value {
            key: "language",
            problem: format!("{:?} is none of {}", self.language, LOCALES.join(", ")),
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.server_name()?;
        self.language()?;
        self.default_room_version()?;
        self.policy_lists()?;
        addresses("listen", &self.listen)?;
        addresses("tls.listen", &self.tls.listen)?;
        addresses("metrics.listen", self.metrics.listen.as_slice())?;
        if self.listen.is_empty() && self.tls.listen.is_empty() {
            return value("listen", "name at least one address, here or in tls.listen");
        }
        if !self.tls.listen.is_empty() && (self.tls.cert.is_none() || self.tls.key.is_none()) {
            return value("tls.listen", "needs tls.cert and tls.key, both PEM files");
        }
        if !matches!(self.store.as_str(), "embedded" | "memory") {
            return value("store", "is `embedded` or `memory`; PostgreSQL comes in a later release");
        }
        if self.registration_shared_secret.as_ref().is_some_and(|secret| secret.len() < 8) {
            return value("registration_shared_secret", "must have at least 8 characters");
        }
        if let Some(url) = &self.public_url
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            return value("public_url", "must begin with https:// (or http:// behind a proxy)");
        }
        if let Some(url) = &self.public_url
            && !is_origin(url)
            && self.oauth.enabled
        {
            let problem = "is a scheme and a host without a path: the pages and their cookies are at its root \
                           (a path works with oauth.enabled = false only)";
            return value("public_url", problem);
        }
        if let Some((key, problem)) = self.turn.problem() {
            return value(key, problem);
        }
        if let Some((key, problem)) =
            self.passwords.problem().or_else(|| self.oauth.problem()).or_else(|| self.ldap.problem())
        {
            return value(key, problem);
        }
        self.providers()?;
        self.retention.checked()?;
        self.mail_server()?;
        if let Some((key, problem)) = self.support.problem().or_else(|| terms::problem(&self.terms)) {
            return value(key, problem);
        }
        self.brand()?;
        self.proxies().map(|_| ())
    }

    /// The way to the mail server, if there is one.
    ///
    /// # Errors
    /// When the settings for it can't be used.
    pub(crate) fn mail_server(&self) -> Result<Option<Smtp>, ConfigError> {
        let Some(url) = &self.email.smtp_url else {
            if self.email.required_to_register {
                return value("email.required_to_register", "needs email.smtp_url");
            }
            return Ok(None);
        };
        let Some(from) = &self.email.from else {
            return value("email.from", "must be set where email.smtp_url is");
        };
        match Smtp::new(url, from, &self.server_name()?) {
            Ok(smtp) => Ok(Some(smtp)),
            Err(BadSmtp::Url) => {
                value("email.smtp_url", "is no URL such as smtps://user:password@mail.example.org")
            }
            Err(BadSmtp::From) => value("email.from", "is no address such as Example <matrix@example.org>"),
        }
    }

    /// The providers that people may sign in with.
    ///
    /// # Errors
    /// Where one can't be used.
    pub(crate) fn providers(&self) -> Result<Vec<UpstreamProvider>, ConfigError> {
        providers::checked(&self.oauth.providers)
    }

    /// The networks of trusted proxies.
    ///
    /// # Errors
    /// When one is neither an address nor a network.
    pub fn proxies(&self) -> Result<Vec<Network>, ConfigError> {
        let parsed = self.trusted_proxies.iter().map(|text| {
            text.parse::<Network>().map_err(|()| ConfigError::Value {
                key: "trusted_proxies",
                problem: format!("{text:?} is neither an address nor a network such as 10.0.0.0/8"),
            })
        });
        parsed.collect()
    }
}

pub use lists::Network;

fn value<T>(key: &'static str, problem: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Value { key, problem: problem.to_owned() })
}

fn addresses(key: &'static str, list: &[String]) -> Result<(), ConfigError> {
    for text in list {
        if text.parse::<SocketAddr>().is_err() {
            return Err(ConfigError::Value {
                key,
                problem: format!("{text:?} is no address with a port, such as 127.0.0.1:8008 or [::]:8008"),
            });
        }
    }
    Ok(())
}

/// Whether a URL is nothing but a scheme and a host, perhaps with a port.
fn is_origin(url: &str) -> bool {
    let url = url::Url::parse(url).ok();
    url.is_some_and(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Config;

    #[test]
    fn the_defaults_are_valid_and_local() {
        let config = Config::default();
        config.check().unwrap();
        assert!(config.is_local());
        assert_eq!(config.public_url(), "http://127.0.0.1:8008");
    }

    #[test]
    fn an_empty_file_and_one_with_terms_are_read() {
        let folder = std::env::temp_dir().join(format!("myelin-config-terms-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("config.toml");
        let terms = "[[terms]]\nid = \"a\"\nversion = \"1\"\n\
            languages.en = { name = \"A\", url = \"https://example.org/a\" }";
        for (text, count) in [("", 0), (terms, 1)] {
            std::fs::write(&path, text).unwrap();
            let config = Config::load(Some(&path)).unwrap();
            config.check().unwrap();
            assert_eq!(config.terms.len(), count, "{text}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn branding_is_read_written_and_read_again() {
        let folder = std::env::temp_dir().join(format!("myelin-config-branding-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, logo) = (folder.join("config.toml"), folder.join("logo.svg"));
        std::fs::write(&logo, "<svg xmlns=\"http://www.w3.org/2000/svg\"/>").unwrap();
        let mut text = format!(
            "[branding]\nname = \"Example\"\naccent = \"#7a1fa2\"\nlogo = {logo:?}\n\
             [[branding.links]]\nabout = \"privacy\"\nurl = \"https://example.org/privacy\"\n\
             [[branding.links]]\nlanguages.en = {{ name = \"Rules\", url = \"mailto:a@example.org\" }}\n"
        );
        for _ in 0..2 {
            std::fs::write(&path, &text).unwrap();
            let config = Config::load(Some(&path)).unwrap();
            assert_eq!(config.brand().unwrap().name(), "Example");
            assert_eq!(config.branding.links.len(), 2, "{text}");
            text = toml::to_string(&config).unwrap();
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_mistake_names_its_key_in_one_line() {
        for (text, said) in [
            ("server_nam = \"x\"", "server_nam"),
            ("listen = [\"nonsense\"]", "listen"),
            ("server_name = \"a b\"", "server_name"),
            ("store = \"redis\"", "store"),
            ("[tls]\nlisten = [\"0.0.0.0:443\"]", "tls.cert"),
            ("registration = \"maybe\"", "registration"),
            ("trusted_proxies = [\"10.0.0.0/99\"]", "trusted_proxies"),
            ("limits = 3", "limits"),
            ("[url_previews]\nports = [70000]", "url_previews.ports"),
            ("[url_previews]\nports = \"80, x\"", "x"),
            ("default_room_version = \"1\"", "default_room_version"),
            ("[turn]\nuris = [\"stun:x\"]", "turn.uris"),
            ("[turn]\nuris = [\"turn:x\"]", "turn.shared_secret"),
            ("[turn]\nuser_lifetime = 1", "turn.user_lifetime"),
            ("[[support.contacts]]\nrole = \"m.role.admin\"", "support.contacts"),
            ("[[support.contacts]]\nmatrix_id = \"root\"", "support.contacts"),
            ("[[support.contacts]]\nemail_address = \"root\"", "support.contacts"),
            ("[support]\npage = \"example.org\"", "support.page"),
            ("[email]\nsmtp_url = \"smtp://localhost\"", "email.from"),
            ("[email]\nsmtp_url = \"http://localhost\"\nfrom = \"a@b.c\"", "email.smtp_url"),
            ("[email]\nsmtp_url = \"smtp://localhost\"\nfrom = \"root\"", "email.from"),
            ("[email]\nrequired_to_register = true", "email.required_to_register"),
            ("[[terms]]\nid = \"a\"\nversion = \"1\"\nlanguages = {}", "terms"),
            (
                "[[terms]]\nid = \"a\"\nversion = \"1\"\nlanguages.en = { name = \"A\", url = \"javascript:1\" }",
                "terms",
            ),
            ("[branding]\nname = \"\"", "branding.name"),
            ("[branding]\naccent = \"#ffcc00\"", "1.37 to 1"),
            ("[branding]\naccent_dark = \"green\"", "branding.accent_dark"),
            ("[branding]\nlogo = \"/nonexistent/logo.png\"", "/nonexistent/logo.png"),
            ("[branding]\nlogo_dark = \"/nonexistent/logo.png\"", "branding.logo_dark"),
            ("[branding]\nlogo = \"Cargo.toml\"", "no PNG, JPEG, WebP or SVG"),
            ("[branding]\ncolour = \"#000\"", "colour"),
            ("[[branding.links]]\nname = \"A\"\nurl = \"http://a.b\"", "branding.links"),
            ("[[branding.links]]\nurl = \"https://a.b\"", "branding.links"),
            ("[[branding.links]]\nabout = \"cookies\"\nurl = \"https://a.b\"", "branding.links"),
            ("[[branding.links]]\nabout = \"terms\"", "branding.links"),
            (
                "[[branding.links]]\nurl = \"https://a.b\"\nlanguages.en = { name = \"A\", url = \"https://a.b\" }",
                "branding.links",
            ),
            ("[passwords]\nminimum_length = 3", "passwords.minimum_length"),
            ("public_url = \"https://example.org/matrix\"", "public_url"),
            ("public_url = \"https://example.org?x\"", "public_url"),
            ("[passwords]\nminimum_score = 5", "passwords.minimum_score"),
            ("[passwords]\nbreached_url = \"https://example.org/range\"", "passwords.breached_url"),
            ("[passwords]\nbreached_url = \"https://a.b/\"\nbreached_file = \"x\"", "passwords.breached_url"),
            ("[oauth]\nintrospection_secret = \"short\"", "oauth.introspection_secret"),
            (
                "[[oauth.providers]]\nid = \"a b\"\nissuer = \"https://a.b\"\nclient_id = \"c\"",
                "oauth.providers",
            ),
            ("[[oauth.providers]]\nid = \"a\"\nissuer = \"http://a.b\"\nclient_id = \"c\"", "https"),
            (
                "[[oauth.providers]]\nid = \"a\"\nissuer = \"https://a.b\"\nclient_id = \"c\"\nlocalpart = \"{{\"",
                "template",
            ),
            ("[ldap]\nurl = \"ldap://ldap.example.org\"", "ldap.url"),
            ("[retention]\ndefault_max_lifetime = \"30\"", "retention.default_max_lifetime"),
            ("[retention]\ninterval = \"1s\"", "retention.interval"),
            (
                "[retention]\nallowed_lifetime_min = \"2d\"\nallowed_lifetime_max = \"1d\"",
                "allowed_lifetime_min",
            ),
        ] {
            let folder = std::env::temp_dir().join(format!("myelin-config-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join("config.toml");
            std::fs::write(&path, text).unwrap();
            let error = Config::load(Some(&path)).expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let error = Config::load(Some(Path::new("/nonexistent/myelin.toml"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/myelin.toml"));
    }
}
