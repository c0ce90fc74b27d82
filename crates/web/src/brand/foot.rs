//! The links in the foot of each page.

use maud::{Markup, html};
use myelin_language::Language;
use url::Url;

use crate::messages::Messages;

/// How many there are at most.
const MOST: usize = 8;
/// The longest label, in characters.
const MAX_LABEL: usize = 48;
/// The longest address, in bytes.
const MAX_URL: usize = 512;

/// What a link is about, where the pages know what to call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// What becomes of people's data.
    Privacy,
    /// What people and clients agree to.
    Terms,
    /// Who runs the server.
    Imprint,
    /// Where there is help.
    Support,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FootLink {
    /// What it is about, if that is known.
    pub about: Option<About>,
    /// It by language; at least one.
    pub texts: Vec<FootText>,
}

/// A link for the readers of one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FootText {
    /// The language's tag; none where it is one link for everybody.
    pub language: Option<String>,
    /// What it says; where it says nothing, what the pages call it.
    pub name: Option<String>,
    /// Where it leads.
    pub url: String,
}

impl FootLink {
    /// The link for who reads this language, or else that in English, or else any.
    pub(super) fn text(&self, language: &str) -> Option<&FootText> {
        let of = |tag: &str| self.texts.iter().find(|text| text.language.as_deref() == Some(tag));
        of(language).or_else(|| of("en")).or_else(|| self.texts.first())
    }
}

impl FootText {
    fn problem(&self, about: Option<About>) -> Option<String> {
        let is_label = |name: &String| {
            !name.trim().is_empty()
                && !name.chars().any(char::is_control)
                && name.chars().count() <= MAX_LABEL
        };
        if self.name.is_none() && about.is_none() {
            return Some(format!("{:?} needs a name, or an about", self.url));
        }
        if self.name.as_ref().is_some_and(|name| !is_label(name)) {
            return Some(format!("a name is a line of up to {MAX_LABEL} characters"));
        }
        let leads = |url: &Url| match url.scheme() {
            "https" => url.has_host(),
            "mailto" => url.path().contains('@'),
            _ => false,
        };
        let fits = self.url.len() <= MAX_URL && Url::parse(&self.url).is_ok_and(|url| leads(&url));
        (!fits).then(|| {
            format!("{:?} must begin with https:// or mailto: and have up to {MAX_URL} bytes", self.url)
        })
    }
}

/// Says what is wrong with them.
pub(super) fn check(links: &[FootLink]) -> Result<(), String> {
    if links.len() > MOST {
        return Err(format!("there are at most {MOST}"));
    }
    for link in links {
        if link.texts.is_empty() {
            return Err("each has a url, or languages".to_owned());
        }
        if let Some(problem) = link.texts.iter().find_map(|text| text.problem(link.about)) {
            return Err(problem);
        }
    }
    Ok(())
}

/// The foot of a page.
pub(super) fn shown(links: &[FootLink], language: Language) -> Markup {
    let messages = Messages::of(language);
    html! {
        @if !links.is_empty() {
            footer {
                ul {
                    @for link in links {
                        @if let Some(text) = link.text(language.tag()) { li { (one(link, text, messages)) } }
                    }
                }
            }
        }
    }
}

fn one(link: &FootLink, text: &FootText, messages: &Messages) -> Markup {
    let say = &messages.foot;
    let label = text.name.as_ref().or(link.about.map(|about| match about {
        About::Privacy => &say.privacy,
        About::Terms => &say.terms,
        About::Imprint => &say.imprint,
        About::Support => &say.support,
    }));
    html! {
        @if let Some(label) = label {
            @if text.url.starts_with("mailto:") {
                a href=(text.url) { (label) }
            } @else {
                a href=(text.url) target="_blank" rel="noopener noreferrer" { (label) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use myelin_language::Language;

    use super::{About, FootLink, FootText, check, shown};

    fn text(language: Option<&str>, name: Option<&str>, url: &str) -> FootText {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        FootText { language: owned(language), name: owned(name), url: url.to_owned() }
    }

    #[test]
    fn a_link_is_in_the_reader_s_language_and_called_what_it_is_about() {
        let links = [
            FootLink { about: Some(About::Imprint), texts: vec![text(None, None, "https://a.b/i")] },
            FootLink {
                about: None,
                texts: vec![
                    text(Some("de"), Some("Regeln <1>"), "https://a.b/de"),
                    text(Some("en"), Some("Rules"), "https://a.b/en"),
                ],
            },
            FootLink { about: None, texts: vec![text(None, Some("Ask us"), "mailto:us@a.b")] },
        ];
        check(&links).unwrap();
        let of = |tag| {
            let language = Language::of_tag(tag).unwrap();
            shown(&links, language).into_string()
        };
        let german = of("de");
        assert!(german.contains(">Impressum</a>") && german.contains(">Regeln &lt;1&gt;</a>"), "{german}");
        let french = of("fr");
        assert!(french.contains(">Mentions légales</a>") && french.contains("https://a.b/en"), "{french}");
        assert!(french.contains("<a href=\"mailto:us@a.b\">Ask us</a>"), "{french}");
        assert_eq!(french.matches("rel=\"noopener noreferrer\"").count(), 2);
    }

    #[test]
    fn links_lead_to_the_web_or_to_a_mail_and_say_something() {
        let one = |name: Option<&str>, url: &str| {
            check(&[FootLink { about: None, texts: vec![text(None, name, url)] }])
        };
        one(Some("A"), "https://a.b/c").unwrap();
        one(Some("A"), "mailto:a@b.c?subject=x").unwrap();
        for bad in
            ["http://a.b", "javascript:alert(1)", "mailto:", "mailto:a", "/a", "https://", "data:,a", ""]
        {
            one(Some("A"), bad).unwrap_err();
        }
        one(None, "https://a.b").unwrap_err();
        one(Some(" "), "https://a.b").unwrap_err();
        one(Some(&"a".repeat(49)), "https://a.b").unwrap_err();
        one(Some("A"), &format!("https://a.b/{}", "a".repeat(512))).unwrap_err();
        check(&[FootLink { about: Some(About::Terms), texts: Vec::new() }]).unwrap_err();
        let many = vec![FootLink { about: None, texts: vec![text(None, Some("A"), "https://a.b")] }; 9];
        check(&many).unwrap_err();
    }
}
