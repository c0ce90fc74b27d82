//! What a page says of itself: OpenGraph first, then Twitter's card, then its title and description.
//!
//! Pure computation over hostile text, read token by token: no tree is built, so depth costs nothing.

use std::collections::BTreeMap;

use encoding_rs::{Encoding, UTF_8};
use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};

/// How many properties are taken over.
const MOST_PROPERTIES: usize = 32;
/// The longest name of a property, in bytes.
const MOST_NAME: usize = 64;
/// The longest value, in characters.
const MOST_VALUE: usize = 1024;
/// Where a page may say how it is encoded, in bytes (HTML, "Specifying the document's character encoding").
const PRESCAN: usize = 1024;

/// What a page says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// OpenGraph properties but those of pictures, films and sounds, which would lead clients to other servers.
    pub(super) properties: BTreeMap<String, String>,
    /// The picture, as the page has it: often relative.
    pub(super) image: Option<String>,
}

/// Reads a page.
pub(super) fn read(body: &[u8], content_type: &str) -> Page {
    let text = decode(body, content_type);
    let mut emitter = DefaultEmitter::default();
    // What stands in scripts and styles is no markup.
    emitter.naively_switch_states(true);
    let mut seen = Seen::default();
    for token in Tokenizer::new_with_emitter(&*text, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => seen.start(&tag),
            Token::EndTag(tag) if &*tag.name == b"title" => seen.in_title = false,
            Token::EndTag(tag) if &*tag.name == b"svg" => seen.in_svg = false,
            Token::String(text) if seen.in_title => seen.title(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }
    seen.into_page()
}

fn decode<'b>(body: &'b [u8], content_type: &str) -> std::borrow::Cow<'b, str> {
    let beginning = &body[..body.len().min(PRESCAN)];
    let declared = charset(content_type).or_else(|| charset(&String::from_utf8_lossy(beginning)));
    // A byte order mark wins over both.
    declared.unwrap_or(UTF_8).decode(body).0
}

/// The encoding after the first `charset=`.
fn charset(text: &str) -> Option<&'static Encoding> {
    let lower = text.to_ascii_lowercase();
    let (_, rest) = lower.split_once("charset")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c))).unwrap_or(rest.len());
    Encoding::for_label(rest.get(..end)?.as_bytes())
}

#[derive(Default)]
struct Seen {
    graph: BTreeMap<String, String>,
    card: BTreeMap<String, String>,
    title: Option<String>,
    description: Option<String>,
    image: Option<String>,
    in_title: bool,
    in_svg: bool,
}

impl Seen {
    fn start(&mut self, tag: &StartTag<()>) {
        let attribute = |name: &[u8]| {
            tag.attributes.get(name).map(|value| String::from_utf8_lossy(&value.value).into_owned())
        };
        match tag.name.as_slice() {
            // Only the first is the page's; those in drawings are of their shapes.
            b"title" if self.title.is_none() && !self.in_svg => self.in_title = !tag.self_closing,
            b"svg" => self.in_svg = !tag.self_closing,
            b"meta" => {
                let name = attribute(b"property").or_else(|| attribute(b"name"));
                if let (Some(name), Some(content)) = (name, attribute(b"content")) {
                    self.meta(&name.trim().to_ascii_lowercase(), &content);
                }
            }
            b"link" if self.image.is_none() => {
                let rel = attribute(b"rel").unwrap_or_default();
                if rel.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("image_src")) {
                    self.image = attribute(b"href");
                }
            }
            _ => {}
        }
    }

    fn meta(&mut self, name: &str, content: &str) {
        let properties = if name.starts_with("og:") {
            &mut self.graph
        } else if name.starts_with("twitter:") {
            &mut self.card
        } else {
            if name == "description" && self.description.is_none() {
                self.description = Some(tidied(content)).filter(|text| !text.is_empty());
            }
            return;
        };
        let value = tidied(content);
        let fits = name.len() <= MOST_NAME && properties.len() < MOST_PROPERTIES;
        if fits && !value.is_empty() {
            // Of several the first counts.
            properties.entry(name.to_owned()).or_insert(value);
        }
    }

    fn title(&mut self, text: &str) {
        let so_far = self.title.get_or_insert_default();
        if so_far.len() < 4 * MOST_VALUE {
            so_far.push_str(text);
        }
    }

    fn into_page(mut self) -> Page {
        let mut image = None;
        for name in ["og:image", "og:image:secure_url", "og:image:url"] {
            image = image.or(self.graph.remove(name));
        }
        for name in ["twitter:image", "twitter:image:src"] {
            image = image.or(self.card.remove(name));
        }
        self.graph.retain(|name, _| {
            !["og:image", "og:video", "og:audio"].iter().any(|media| name.starts_with(media))
        });
        let mut fill = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                self.graph.entry(name.to_owned()).or_insert(value);
            }
        };
        fill("og:title", self.card.remove("twitter:title"));
        fill("og:title", self.title.map(|title| tidied(&title)));
        fill("og:description", self.card.remove("twitter:description"));
        fill("og:description", self.description);
        Page { properties: self.graph, image: image.or(self.image) }
    }
}

/// A text on one line, and not too long.
fn tidied(text: &str) -> String {
    let mut tidied = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let blank = usize::from(!tidied.is_empty());
        let left = MOST_VALUE.saturating_sub(length + blank);
        if left == 0 {
            break;
        }
        tidied.extend(std::iter::repeat_n(' ', blank));
        tidied.extend(word.chars().take(left));
        length += blank + word.chars().count().min(left);
    }
    tidied
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
