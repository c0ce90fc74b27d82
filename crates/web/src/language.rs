//! In which language a page is written.

use http::{HeaderMap, header};

use crate::messages::Messages;

/// The languages of the pages, the first for who reads none of them.
pub const LOCALES: [&str; 3] = ["en", "de", "fr"];

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Language(usize);

impl Language {
    /// The best for who asks: what their client says of them first, then what their browser does.
    pub(crate) fn choose<'a>(client: impl IntoIterator<Item = &'a str>, headers: &'a HeaderMap) -> Self {
        let browser = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        client.into_iter().chain(accepted(browser.unwrap_or_default())).find_map(known).unwrap_or_default()
    }

    /// Its tag.
    pub(crate) fn tag(self) -> &'static str {
        LOCALES.get(self.0).copied().unwrap_or("en")
    }

    /// What the pages say in it.
    pub(crate) fn messages(self) -> &'static Messages {
        Messages::of(self.0)
    }
}

fn known(tag: &str) -> Option<Language> {
    let general = tag.split('-').next().unwrap_or_default();
    LOCALES.iter().position(|locale| locale.eq_ignore_ascii_case(general)).map(Language)
}

/// The tags of an `Accept-Language`, the best first.
fn accepted(header: &str) -> Vec<&str> {
    let weighed = header.split(',').take(16).filter_map(|part| {
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
    use http::{HeaderMap, HeaderValue, header};

    use super::Language;

    fn chosen(client: &[&str], browser: &'static str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static(browser));
        Language::choose(client.iter().copied(), &headers).tag()
    }

    #[test]
    fn the_client_s_word_comes_first_then_the_browser_s_by_weight() {
        assert_eq!(chosen(&[], "fr-CH, fr;q=0.9, en;q=0.8"), "fr");
        assert_eq!(chosen(&[], "en;q=0.5, de-AT;q=0.9"), "de");
        assert_eq!(chosen(&["sv", "DE"], "fr"), "de");
        assert_eq!(chosen(&[], "sv, *;q=0.5"), "en");
        assert_eq!(chosen(&[], "fr;q=0, de;q=x, ;;,,"), "de");
        assert_eq!(chosen(&[], ""), "en");
    }
}
