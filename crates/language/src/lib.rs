//! In which languages people are spoken to, and how what is said to them is read from files.
//!
//! Whoever says something (pages, mails) has a file of messages for each language, of the same keys: [`messages!`] declares
//! them, [`Said::read`] reads them, and a test of theirs calls [`differences`]. Words to fill in stand in braces ([`pieces`]).
//!
//! **Invariants.** No IO, no panic on any input; what is parsed is bounded.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

mod messages;

pub use messages::{Piece, Said, differences, fill, pieces};
// For what `messages!` expands to.
#[doc(hidden)]
pub use serde;

/// The languages, the first for who reads none of them.
pub const LOCALES: [&str; 3] = ["en", "de", "fr"];

/// How many languages of a request are looked at.
const MOST: usize = 16;

/// One of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Language(usize);

impl Language {
    /// The language of a tag (BCP 47), whatever the region; nothing where it is none of these.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        let general = tag.split(['-', '_']).next().unwrap_or_default();
        LOCALES.iter().position(|locale| locale.eq_ignore_ascii_case(general)).map(Self)
    }

    /// The best for who asks: what their client says of them first, then their `Accept-Language` (RFC 9110, section 12.5.4).
    /// Nothing where neither names one of these.
    pub fn choose<'a>(client: impl IntoIterator<Item = &'a str>, accept_language: &'a str) -> Option<Self> {
        client.into_iter().take(MOST).chain(accepted(accept_language)).find_map(Self::of_tag)
    }

    /// Its tag.
    #[must_use]
    pub fn tag(self) -> &'static str {
        LOCALES.get(self.0).copied().unwrap_or("en")
    }
}

/// The tags of an `Accept-Language`, the best first.
fn accepted(header: &str) -> Vec<&str> {
    let weighed = header.split(',').take(MOST).filter_map(|part| {
        let mut parts = part.split(';').map(str::trim);
        let tag = parts.next().filter(|tag| !tag.is_empty())?;
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        Some((tag, weight.unwrap_or(1.0)))
    });
    let mut tags: Vec<_> = weighed.filter(|(_, weight)| *weight > 0.0).collect();
    tags.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    tags.into_iter().map(|(tag, _)| tag).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LOCALES, Language};

    fn chosen(client: &[&str], browser: &str) -> Option<&'static str> {
        Language::choose(client.iter().copied(), browser).map(Language::tag)
    }

    #[test]
    fn the_client_s_word_comes_first_then_the_browser_s_by_weight() {
        assert_eq!(chosen(&[], "fr-CH, fr;q=0.9, en;q=0.8"), Some("fr"));
        assert_eq!(chosen(&[], "en;q=0.5, de-AT;q=0.9"), Some("de"));
        assert_eq!(chosen(&["sv", "DE"], "fr"), Some("de"));
        assert_eq!(chosen(&["de_CH.UTF-8"], ""), Some("de"));
        assert_eq!(chosen(&[], "fr;q=0, de;q=x, ;;,,"), Some("de"));
        assert_eq!(chosen(&[], "sv, *;q=0.5"), None);
        assert_eq!(chosen(&[], ""), None);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read(header in "\\PC{0,80}") {
            if let Some(tag) = chosen(&[], &header) {
                prop_assert!(LOCALES.contains(&tag));
            }
        }
    }
}
