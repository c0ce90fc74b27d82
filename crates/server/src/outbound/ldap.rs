//! The operator's directory (RFC 4511): looks somebody up, and tries their password by binding as them.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ldap3::{LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions};
use myelin_auth::{Directory, DirectoryDown, DirectoryEntry};
use myelin_runtime::Secret;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::Ldap as Settings;

/// How long it may take to be connected to, and for one question, waiting included.
const CONNECT: Duration = Duration::from_secs(3);
const WHOLE: Duration = Duration::from_secs(5);
/// How long the directory looks for somebody, in seconds.
const LOOK: i32 = 4;
/// More than one is one too many.
const FOUND: i32 = 2;
/// What it answers to a wrong password (RFC 4511, appendix A): `invalidCredentials`.
const WRONG: u32 = 49;
/// What it answers where it can't say: `busy`, `unavailable`, `other`, and that time or work ran out.
const CAN_T_SAY: [u32; 6] = [3, 11, 51, 52, 80, 85];
/// What it answers where there are more than were asked for: `sizeLimitExceeded`.
const TOO_MANY: u32 = 4;

/// The way to the directory: a connection for each question, so many at once.
pub(crate) struct Ldap {
    settings: Settings,
    url: String,
    password: Option<Secret<String>>,
    tls: Arc<ClientConfig>,
    turns: Semaphore,
}

impl Ldap {
    /// The way to the directory that the configuration names, if it names one.
    ///
    /// # Errors
    /// What can't be read.
    pub(crate) fn new(settings: &Settings) -> Result<Option<Self>, String> {
        let Some(url) = settings.url.clone() else { return Ok(None) };
        let password = match &settings.bind_password_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Some(text.map_err(|error| format!("{}: {error}", path.display()))?.trim().to_owned())
            }
            None => settings.bind_password.clone(),
        };
        let tls = trusting(settings.ca_file.as_deref())?;
        let turns = Semaphore::new(settings.connections);
        Ok(Some(Self { settings: settings.clone(), url, password: password.map(Secret::new), tls, turns }))
    }

    /// Asks something on a connection of its own, which lives as long as the question.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Self, &mut ldap3::Ldap) -> Result<T, Trouble> + Send,
    ) -> Result<T, DirectoryDown> {
        let asked = async {
            let _turn = self.turns.acquire().await.map_err(|_| Trouble("it is closed".to_owned()))?;
            let settings = LdapConnSettings::new()
                .set_conn_timeout(CONNECT)
                .set_starttls(self.settings.start_tls)
                .set_config(Arc::clone(&self.tls));
            let (connection, mut ldap) = LdapConnAsync::with_settings(settings, &self.url).await?;
            tokio::select! {
                biased;
                answer = question(self, &mut ldap) => answer,
                ended = connection.drive() => {
                    ended?;
                    Err(Trouble("it closed the connection".to_owned()))
                }
            }
        };
        match timeout(WHOLE, asked).await {
            Ok(answer) => answer.map_err(|Trouble(problem)| DirectoryDown(problem)),
            Err(_) => Err(DirectoryDown("it does not answer in time".to_owned())),
        }
    }

    /// Whether who is at this place may bind with this password.
    async fn bind(ldap: &mut ldap3::Ldap, place: &str, password: &Secret<String>) -> Result<bool, Trouble> {
        // Without a name or without a password it would be nobody's bind, which always succeeds.
        if place.is_empty() || password.expose().is_empty() {
            return Ok(false);
        }
        let bound = ldap.simple_bind(place, password.expose()).await?;
        match bound.rc {
            0 => Ok(true),
            WRONG => Ok(false),
            code if CAN_T_SAY.contains(&code) => Err(Trouble(format!("it answers {code}: {}", bound.text))),
            code => {
                tracing::info!(
                    code,
                    "the directory refuses somebody for another reason than a wrong password"
                );
                Ok(false)
            }
        }
    }

    async fn look_up(&self, ldap: &mut ldap3::Ldap, name: &str) -> Result<Option<DirectoryEntry>, Trouble> {
        Ok(match self.search(ldap, &self.settings.filter_of(name)).await? {
            Found::Nobody => None,
            Found::One(entry) => self.read(entry),
            Found::Several => {
                tracing::warn!("several in the directory fit one name: ldap.filter must tell them apart");
                None
            }
        })
    }

    async fn search(&self, ldap: &mut ldap3::Ldap, filter: &str) -> Result<Found, Trouble> {
        if let (Some(dn), Some(own)) = (&self.settings.bind_dn, &self.password) {
            ldap.simple_bind(dn, own.expose()).await?.success()?;
        }
        let Settings { id_attribute, name_attribute, display_name_attribute, email_attribute, .. } =
            &self.settings;
        let wanted = vec![id_attribute, name_attribute, display_name_attribute, email_attribute];
        ldap.with_search_options(SearchOptions::new().sizelimit(FOUND).timelimit(LOOK));
        let found = ldap.search(&self.settings.base_dn, Scope::Subtree, filter, wanted).await?;
        if found.1.rc == TOO_MANY {
            return Ok(Found::Several);
        }
        let (entries, _) = found.success()?;
        let mut people = entries.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        Ok(match (people.next(), people.next()) {
            (None, _) => Found::Nobody,
            (Some(entry), None) => Found::One(SearchEntry::construct(entry)),
            (Some(_), Some(_)) => Found::Several,
        })
    }

    fn read(&self, entry: SearchEntry) -> Option<DirectoryEntry> {
        let first = |name: &str| attribute(&entry.attrs, name).filter(|value| !value.is_empty());
        let Some(id) = first(&self.settings.id_attribute) else {
            tracing::warn!(
                entry = entry.dn,
                attribute = self.settings.id_attribute,
                "somebody in the directory lacks what they would be known by (ldap.id_attribute)"
            );
            return None;
        };
        Some(DirectoryEntry {
            id,
            localpart: first(&self.settings.name_attribute),
            display_name: first(&self.settings.display_name_attribute),
            email: first(&self.settings.email_attribute),
            place: entry.dn,
        })
    }
}

impl Directory for Ldap {
    fn find<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<DirectoryEntry>, DirectoryDown>> {
        Box::pin(self.ask(async move |way, ldap| way.look_up(ldap, name).await))
    }

    fn fits<'a>(
        &'a self,
        place: Option<&'a str>,
        password: &'a Secret<String>,
    ) -> BoxFuture<'a, Result<bool, DirectoryDown>> {
        Box::pin(self.ask(async move |way, ldap| {
            let nobody = format!("cn=nobody of this name,{}", way.settings.base_dn);
            let fits = Self::bind(ldap, place.unwrap_or(&nobody), password).await?;
            Ok(fits && place.is_some())
        }))
    }

    fn knows<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, DirectoryDown>> {
        Box::pin(self.ask(async move |way, ldap| {
            let found = way.search(ldap, &way.settings.filter_of_id(id)).await?;
            Ok(!matches!(found, Found::Nobody))
        }))
    }
}

/// Who fits a filter.
enum Found {
    Nobody,
    One(SearchEntry),
    Several,
}

/// What stood in the way.
struct Trouble(String);

impl From<LdapError> for Trouble {
    fn from(error: LdapError) -> Self {
        Self(error.to_string())
    }
}

/// Attributes have the case that the directory likes.
fn attribute(attributes: &HashMap<String, Vec<String>>, name: &str) -> Option<String> {
    let found = attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.and_then(|(_, values)| values.first().cloned())
}

/// TLS that trusts the certificates of a file alone, or where there is none what the system trusts.
fn trusting(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match file {
        Some(path) => config.with_root_certificates(roots(path)?),
        None => config.with_platform_verifier().map_err(|error| error.to_string())?,
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| wrong(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(file)) {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() { Err(wrong(&"there is no certificate in it")) } else { Ok(roots) }
}
