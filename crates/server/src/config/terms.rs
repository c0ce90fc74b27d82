//! What people accept before they use an account here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How many documents there are at most.
const MOST: usize = 16;
/// The longest id and version, in bytes.
const MAX_NAME: usize = 64;

/// A document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// By which it is known, for good.
    pub id: String,
    /// Its version: who accepted another one is asked again.
    pub version: String,
    /// Where it is, by language.
    pub languages: BTreeMap<String, TermsText>,
}

/// It in one language.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsText {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub url: String,
}

/// What is wrong with them.
pub(super) fn problem(terms: &[Terms]) -> Option<(&'static str, &'static str)> {
    let is_word = |text: &str| {
        let letters = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(letters)
    };
    let is_web = |url: &str| {
        let parsed = url.parse::<url::Url>();
        parsed.is_ok_and(|url| matches!(url.scheme(), "https" | "http"))
    };
    let has_text = |terms: &Terms| {
        let fits = |text: &TermsText| !text.name.trim().is_empty() && is_web(&text.url);
        // `version` stands beside the languages on the wire.
        let is_tag = |tag: &String| is_word(tag) && tag != "version";
        !terms.languages.is_empty()
            && terms.languages.values().all(fits)
            && terms.languages.keys().all(is_tag)
    };
    let twice = |terms: &[Terms]| {
        terms.iter().enumerate().any(|(at, one)| terms[..at].iter().any(|other| other.id == one.id))
    };
    if terms.len() > MOST {
        Some(("terms", "has at most 16 documents"))
    } else if !terms.iter().all(|terms| is_word(&terms.id) && is_word(&terms.version)) {
        Some(("terms", "each has an id and a version, of letters, digits, `.`, `_` and `-`, up to 64"))
    } else if twice(terms) {
        Some(("terms", "two have one id"))
    } else if !terms.iter().all(has_text) {
        Some(("terms", "each has a name and a url (https:// or http://) in at least one language"))
    } else {
        None
    }
}
