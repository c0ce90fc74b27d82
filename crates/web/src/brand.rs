//! What an operator makes of the pages: what the server is called, its colours, a logo, links in the foot.
//!
//! All of it is read when the server starts, and what can't be used is refused then. The static style stays as it is; what is
//! added to it is made here, and known to the pages' policy by its own hash. Where nothing is set nothing is added.

mod colour;
mod foot;
mod logo;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use maud::{Markup, PreEscaped, html};
use myelin_language::Language;
use sha2::{Digest, Sha256};

use self::colour::{Accent, DARK, LIGHT, Scheme};
use self::logo::Logo;
use crate::next::LOGO;

pub use self::foot::{About, FootLink, FootText};
pub use self::logo::MAX_BYTES as MAX_LOGO;

/// How a logo and the foot look.
const STYLE: &str = include_str!("brand.css");
/// The longest name of the server, in characters.
const MAX_NAME: usize = 64;

/// What an operator wants.
#[derive(Clone, Debug, Default)]
pub struct Branding {
    /// What the server is called.
    pub name: String,
    /// The colour of buttons and links on light pages, as `#rrggbb`.
    pub accent: Option<String>,
    /// The same on dark pages.
    pub accent_dark: Option<String>,
    /// The file of the logo.
    pub logo: Option<Bytes>,
    /// The same for dark pages.
    pub logo_dark: Option<Bytes>,
    /// What stands in the foot of each page.
    pub links: Vec<FootLink>,
}

/// Why something of it can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct BadBranding {
    /// The key of the configuration.
    pub key: &'static str,
    /// What is wrong, and what would be right.
    pub problem: String,
}

/// What the pages show of it.
#[derive(Debug)]
pub struct Brand {
    name: String,
    style: Option<Style>,
    logo: Option<Logo>,
    logo_dark: Option<Logo>,
    links: Vec<FootLink>,
}

#[derive(Debug)]
struct Style {
    css: String,
    /// By which the policy knows it.
    hash: String,
}

impl Brand {
    /// Looks at everything.
    ///
    /// # Errors
    /// What can't be used.
    pub fn new(wanted: Branding) -> Result<Self, BadBranding> {
        let Branding { name, accent, accent_dark, logo, logo_dark, links } = wanted;
        let name = name.trim().to_owned();
        let is_text = !name.is_empty() && !name.chars().any(char::is_control);
        if !is_text || name.chars().count() > MAX_NAME {
            return Err(bad("branding.name", format!("is a line of up to {MAX_NAME} characters")));
        }
        let accents = accents(accent.as_deref(), accent_dark.as_deref())?;
        let read = |key, file: Option<Bytes>| {
            file.map(|file| Logo::read(file).map_err(|problem| bad(key, problem))).transpose()
        };
        let logo = read("branding.logo", logo)?;
        let logo_dark = read("branding.logo_dark", logo_dark)?;
        if logo.is_none() && logo_dark.is_some() {
            return Err(bad("branding.logo_dark", "needs branding.logo, for light pages".to_owned()));
        }
        foot::check(&links).map_err(|problem| bad("branding.links", problem))?;
        let style = Style::of(accents, logo.is_some() || !links.is_empty());
        Ok(Self { name, style, logo, logo_dark, links })
    }

    /// The same for pages that are all there is of these (`oauth.enabled = false`): nobody would serve the logo.
    #[must_use]
    pub fn without_logo(self) -> Self {
        Self { logo: None, logo_dark: None, ..self }
    }

    /// What the server is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the operator's terms of service are, for who makes a client (`op_tos_uri`).
    #[must_use]
    pub fn terms_url(&self) -> Option<&str> {
        let link = self.links.iter().find(|link| link.about == Some(About::Terms))?;
        link.text(Language::default().tag()).map(|text| &*text.url).filter(|url| url.starts_with("https:"))
    }

    /// Whether the pages show a picture.
    pub(crate) fn has_logo(&self) -> bool {
        self.logo.is_some()
    }

    /// The logo of this address's last part, if there is one.
    pub(crate) fn logo(&self, version: &str) -> Option<&Logo> {
        [&self.logo, &self.logo_dark].into_iter().flatten().find(|logo| logo.version == version)
    }

    /// What the policy knows the added style by.
    pub(crate) fn style_hash(&self) -> Option<&str> {
        self.style.as_ref().map(|style| &*style.hash)
    }

    /// The added style.
    pub(crate) fn style(&self) -> Markup {
        html! { @if let Some(style) = &self.style { style { (PreEscaped(&style.css)) } } }
    }

    /// Whose page it is.
    pub(crate) fn head(&self) -> Markup {
        html! {
            p.server {
                @match &self.logo {
                    Some(logo) => picture {
                        @if let Some(dark) = &self.logo_dark {
                            source srcset={ (LOGO) "/" (dark.version) } media="(prefers-color-scheme:dark)";
                        }
                        img.logo src={ (LOGO) "/" (logo.version) } alt=(self.name) width=[logo.width] height=[logo.height];
                    },
                    None => (self.name),
                }
            }
        }
    }

    /// What stands below each page.
    pub(crate) fn foot(&self, language: Language) -> Markup {
        foot::shown(&self.links, language)
    }
}

impl Style {
    fn of(accents: Option<(Accent, Accent)>, has_parts: bool) -> Option<Self> {
        let mut css = String::new();
        if let Some((light, dark)) = accents {
            let dark = format!("@media(prefers-color-scheme:dark){{:root{{{dark}}}}}");
            // Writing to a string does not fail.
            let _ = write!(css, ":root{{{light}}}{dark}");
        }
        if has_parts {
            css.push_str(STYLE);
        }
        let hash = STANDARD.encode(Sha256::digest(css.as_bytes()));
        (!css.is_empty()).then_some(Self { css, hash })
    }
}

/// The colours of light and of dark pages: where one of them is not set, it is made of the other.
fn accents(light: Option<&str>, dark: Option<&str>) -> Result<Option<(Accent, Accent)>, BadBranding> {
    let read = |key, scheme: &'static Scheme, text: Option<&str>| {
        text.map(|text| scheme.accent(text).map_err(|problem| bad(key, problem))).transpose()
    };
    let light = read("branding.accent", &LIGHT, light)?;
    let dark = read("branding.accent_dark", &DARK, dark)?;
    Ok(match (light, dark) {
        (None, None) => None,
        (Some(light), Some(dark)) => Some((light, dark)),
        (Some(light), None) => Some((light, DARK.made_of(light))),
        (None, Some(dark)) => Some((LIGHT.made_of(dark), dark)),
    })
}

fn bad(key: &'static str, problem: String) -> BadBranding {
    BadBranding { key, problem }
}

#[cfg(test)]
mod tests {
    use super::{Brand, Branding};

    fn branding() -> Branding {
        Branding { name: "Example".to_owned(), ..Branding::default() }
    }

    #[test]
    fn where_nothing_is_set_nothing_is_added() {
        let brand = Brand::new(branding()).unwrap();
        assert_eq!((brand.style_hash(), brand.style().into_string()), (None, String::new()));
        assert_eq!(brand.head().into_string(), "<p class=\"server\">Example</p>");
        assert_eq!(brand.foot(super::Language::default()).into_string(), "");
    }

    #[test]
    fn a_colour_that_is_set_alone_brings_the_other_one() {
        let accent = Branding { accent: Some("#7a1fa2".to_owned()), ..branding() };
        let css = Brand::new(accent).unwrap().style().into_string();
        let (light, dark) = css.split_once("@media(prefers-color-scheme:dark)").unwrap();
        assert!(light.contains(":root{--accent:#7a1fa2;") && dark.contains(":root{--accent:#"), "{css}");
        assert!(!dark.contains("#7a1fa2"), "it could not be read there: {css}");
        assert!(css.starts_with("<style>") && css.ends_with("</style>"), "{css}");
        let accent = Branding { accent_dark: Some("#d9a7ee".to_owned()), ..branding() };
        let css = Brand::new(accent).unwrap().style().into_string();
        let (light, dark) = css.split_once("@media(prefers-color-scheme:dark)").unwrap();
        assert!(dark.contains("--accent:#d9a7ee;") && !light.contains("#d9a7ee"), "{css}");
    }

    #[test]
    fn what_can_t_be_used_names_its_key() {
        let key = |wanted: Branding| Brand::new(wanted).unwrap_err().key;
        assert_eq!(key(Branding { name: " ".to_owned(), ..branding() }), "branding.name");
        assert_eq!(key(Branding { name: "a\nb".to_owned(), ..branding() }), "branding.name");
        assert_eq!(key(Branding { name: "a".repeat(65), ..branding() }), "branding.name");
        assert_eq!(key(Branding { accent: Some("teal".to_owned()), ..branding() }), "branding.accent");
        assert_eq!(
            key(Branding { accent_dark: Some("#111".to_owned()), ..branding() }),
            "branding.accent_dark"
        );
        assert_eq!(key(Branding { logo: Some("GIF89a".into()), ..branding() }), "branding.logo");
        let dark = Some("<svg xmlns=\"http://www.w3.org/2000/svg\"/>".into());
        assert_eq!(key(Branding { logo_dark: dark, ..branding() }), "branding.logo_dark");
    }
}
