//! What an operator makes of the pages.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use myelin_web::{About, BadBranding, Brand, FootText, MAX_LOGO};
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError};

/// How the pages look, and what they call the server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Branding {
    /// What the server is called there; default its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The colour of buttons and links on light pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accent: Option<String>,
    /// The same on dark pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accent_dark: Option<String>,
    /// A picture in place of the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo: Option<PathBuf>,
    /// Another one for dark pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_dark: Option<PathBuf>,
    /// What stands in the foot of each page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<FootLink>,
}

/// A link in the foot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FootLink {
    /// What it is about, which the pages have a name for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<LinkAbout>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Both by language, instead.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub languages: BTreeMap<String, LinkText>,
}

/// A link for the readers of one language.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkText {
    /// What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it leads.
    pub url: String,
}

/// What a link may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkAbout {
    /// What becomes of people's data.
    Privacy,
    /// The terms of service.
    Terms,
    /// Who runs the server.
    Imprint,
    /// Where there is help.
    Support,
}

impl Config {
    /// What the pages look like.
    ///
    /// # Errors
    /// Where something of it can't be used.
    pub(crate) fn brand(&self) -> Result<Brand, ConfigError> {
        self.branding.checked(&self.server_name)
    }
}

impl Branding {
    /// It with its files read, for a server of this name.
    ///
    /// # Errors
    /// What can't be used.
    fn checked(&self, server_name: &str) -> Result<Brand, ConfigError> {
        let wanted = myelin_web::Branding {
            name: self.name.as_deref().unwrap_or(server_name).to_owned(),
            accent: self.accent.clone(),
            accent_dark: self.accent_dark.clone(),
            logo: file("branding.logo", self.logo.as_deref())?,
            logo_dark: file("branding.logo_dark", self.logo_dark.as_deref())?,
            links: self.links.iter().map(FootLink::checked).collect::<Result<_, _>>()?,
        };
        Brand::new(wanted).map_err(|BadBranding { key, problem }| ConfigError::Value { key, problem })
    }
}

impl FootLink {
    fn checked(&self) -> Result<myelin_web::FootLink, ConfigError> {
        let for_all =
            self.url.iter().map(|url| FootText { language: None, name: self.name.clone(), url: url.clone() });
        let by_language = self.languages.iter().map(|(language, text)| FootText {
            language: Some(language.clone()),
            name: text.name.clone(),
            url: text.url.clone(),
        });
        if !self.languages.is_empty() && (self.url.is_some() || self.name.is_some()) {
            let problem = "one has either a url and a name, or both by language".to_owned();
            return Err(ConfigError::Value { key: "branding.links", problem });
        }
        let about = self.about.map(|about| match about {
            LinkAbout::Privacy => About::Privacy,
            LinkAbout::Terms => About::Terms,
            LinkAbout::Imprint => About::Imprint,
            LinkAbout::Support => About::Support,
        });
        Ok(myelin_web::FootLink { about, texts: for_all.chain(by_language).collect() })
    }
}

/// The bytes of a logo: one more than it may have at most, so that it is known to be too large.
fn file(key: &'static str, path: Option<&Path>) -> Result<Option<Bytes>, ConfigError> {
    let Some(path) = path else { return Ok(None) };
    let read = || {
        let mut bytes = Vec::new();
        let most = u64::try_from(MAX_LOGO + 1).unwrap_or(u64::MAX);
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) => {
            Err(ConfigError::Value { key, problem: format!("{} can't be read: {error}", path.display()) })
        }
    }
}
