//! What a client says of itself, in several languages (client-server API, "Metadata localization").

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{invalid, text};
use crate::error::Refusal;
use crate::redirect::{ClientUri, plain};

/// The most languages of one field.
const MAX_LANGUAGES: usize = 64;
/// The longest text that people read, in bytes: as long as the display name of a device may be.
const MAX_BYTES: usize = 255;
/// The longest language tag.
const MAX_TAG: usize = 35;

/// A text or link, and the same for those who read certain languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Localized {
    plain: Option<String>,
    /// By language tag, in small letters.
    by_language: BTreeMap<String, String>,
}

impl Localized {
    /// The one for this language (a tag such as `de-AT`): else for the language in general, else for everybody.
    #[must_use]
    pub fn get(&self, language: &str) -> Option<&str> {
        let tag = language.to_ascii_lowercase();
        let general = tag.split('-').next().unwrap_or_default();
        let found = self.by_language.get(&tag).or_else(|| self.by_language.get(general));
        found.or(self.plain.as_ref()).map(String::as_str)
    }

    /// The fields by which it is registered.
    pub(super) fn fields(&self, name: &str) -> impl Iterator<Item = (String, Value)> {
        let plain = self.plain.iter().map(|value| (name.to_owned(), value.as_str().into()));
        let localized =
            self.by_language.iter().map(|(tag, value)| (format!("{name}#{tag}"), value.as_str().into()));
        plain.chain(localized).collect::<Vec<_>>().into_iter()
    }
}

/// Reads such fields of one registration.
pub(super) struct Reader<'f> {
    pub(super) fields: &'f Map<String, Value>,
    pub(super) home: &'f ClientUri,
}

impl Reader<'_> {
    /// A text that people read.
    pub(super) fn text(&self, name: &str) -> Result<Localized, Refusal> {
        self.read(name, |value| {
            let value = value.trim();
            if value.len() > MAX_BYTES || value.chars().any(char::is_control) {
                return Err(invalid("A name has at most 255 bytes, and no control characters."));
            }
            Ok((!value.is_empty()).then_some(value))
        })
    }

    /// A link that people follow. One that is not on the client's host is left out.
    pub(super) fn link(&self, name: &str) -> Result<Localized, Refusal> {
        self.read(name, |value| Ok(plain(value).filter(|url| self.home.covers(url)).map(|_| value)))
    }

    fn read<'v>(
        &'v self,
        name: &str,
        check: impl Fn(&'v str) -> Result<Option<&'v str>, Refusal>,
    ) -> Result<Localized, Refusal> {
        let checked =
            |value: Option<&'v str>| Ok(value.map(&check).transpose()?.flatten().map(str::to_owned));
        let plain = checked(text(self.fields, name)?)?;
        let mut by_language = BTreeMap::new();
        for key in self.fields.keys() {
            let Some(tag) = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('#')) else { continue };
            let legal = tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if tag.is_empty() || tag.len() > MAX_TAG || !legal {
                continue;
            }
            if let Some(value) = checked(text(self.fields, key)?)? {
                by_language.insert(tag.to_ascii_lowercase(), value);
            }
            if by_language.len() > MAX_LANGUAGES {
                return Err(invalid("A field is given in too many languages."));
            }
        }
        Ok(Localized { plain, by_language })
    }
}
