//! The logo: a picture that is known by its bytes, small enough that a page with it stays light, and can't do anything.
//!
//! Pages show it as a picture, in which browsers run nothing and load nothing. Who opens its address sees the same file as a
//! page: then its policy keeps it from all that, and one that has a script or loads something is not taken to begin with.

use bytes::Bytes;
use myelin_media::{ThumbnailError, inspect};
use roxmltree::{Document, Node};
use sha2::{Digest, Sha256};

/// The largest file, in bytes.
pub const MAX_BYTES: usize = 32 << 10;
/// The longest side, in pixels.
const MAX_SIDE: u32 = 2_048;

const SVG: &str = "http://www.w3.org/2000/svg";
/// What a drawing may not have in it.
const NEVER: [&str; 10] =
    ["script", "foreignObject", "iframe", "object", "embed", "audio", "video", "handler", "set", "animate"];

/// A logo.
#[derive(Debug)]
pub(crate) struct Logo {
    pub(crate) bytes: Bytes,
    pub(crate) content_type: &'static str,
    /// The last part of its address: another logo has another one.
    pub(crate) version: String,
    /// In pixels, where it has a size.
    pub(crate) width: Option<u32>,
    /// The same.
    pub(crate) height: Option<u32>,
}

impl Logo {
    /// Looks at a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(bytes: Bytes) -> Result<Self, String> {
        if bytes.len() > MAX_BYTES {
            return Err(format!("the file has {} bytes, and may have {MAX_BYTES}", bytes.len()));
        }
        let digest = Sha256::digest(&bytes);
        let version = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let (content_type, size) = if is_markup(&bytes) {
            check_drawing(&bytes)?;
            ("image/svg+xml", None)
        } else if bytes.starts_with(b"GIF8") {
            return Err(unknown());
        } else {
            let found = inspect(&bytes, MAX_SIDE).map_err(|error| match error {
                ThumbnailError::TooLarge => format!("the picture has more than {MAX_SIDE} pixels on a side"),
                ThumbnailError::Broken => "the picture is damaged".to_owned(),
                _ => unknown(),
            })?;
            (found.content_type, Some((found.width, found.height)))
        };
        let (width, height) = (size.map(|(width, _)| width), size.map(|(_, height)| height));
        Ok(Self { bytes, content_type, version, width, height })
    }
}

fn unknown() -> String {
    "the file is no PNG, JPEG, WebP or SVG picture".to_owned()
}

/// Whether the first letter is that of a tag.
fn is_markup(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}

/// Whether it is a drawing that runs nothing and loads nothing.
fn check_drawing(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the drawing is not written in UTF-8".to_owned())?;
    // Entities and the like are refused with their declaration.
    let document = Document::parse(text).map_err(|error| format!("the drawing can't be read: {error}"))?;
    if !document.root_element().has_tag_name((SVG, "svg")) {
        return Err(unknown());
    }
    document.descendants().find_map(forbidden).map_or(Ok(()), Err)
}

fn forbidden(node: Node<'_, '_>) -> Option<String> {
    if node.is_pi() {
        return Some("the drawing has a processing instruction; take it out".to_owned());
    }
    let name = node.tag_name().name();
    if NEVER.iter().any(|never| name.eq_ignore_ascii_case(never)) {
        return Some(format!("the drawing has <{name}>; take it out"));
    }
    if name == "style" && node.descendants().filter_map(|node| node.text()).any(loads) {
        return Some("the drawing's style loads something from elsewhere; take it out".to_owned());
    }
    node.attributes().find_map(|attribute| {
        let (name, value) = (attribute.name(), attribute.value());
        let runs = name.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("on"));
        // A part of itself, or a picture that is within it.
        let stays = |place: &str| place.starts_with('#') || place.starts_with("data:image/");
        let leaves = matches!(name, "href" | "src") && !stays(value.trim());
        (runs || leaves || loads(value))
            .then(|| format!("the drawing has {name}=\"…\", which runs or loads something; take it out"))
    })
}

/// Whether a style names a place elsewhere.
fn loads(style: &str) -> bool {
    let style = style.to_ascii_lowercase();
    let inside = |place: &str| place.trim_start_matches([' ', '"', '\'']).starts_with('#');
    style.contains("@import") || style.split("url(").skip(1).any(|place| !inside(place))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Logo, MAX_BYTES};

    fn svg(inside: &str) -> Result<Logo, String> {
        let text = format!(
            "<?xml version=\"1.0\"?>\n<!-- made by hand -->\n<svg xmlns=\"http://www.w3.org/2000/svg\" \
             xmlns:xlink=\"http://www.w3.org/1999/xlink\" viewBox=\"0 0 9 9\">{inside}</svg>"
        );
        Logo::read(text.into())
    }

    #[test]
    fn a_drawing_is_taken_that_neither_runs_nor_loads_anything() {
        let plain = "<defs><linearGradient id=\"g\"/></defs><style>.a{fill:url(#g)}</style>\
            <rect class=\"a\" fill=\"url('#g')\"/><use xlink:href=\"#g\"/><image href=\"data:image/png;base64,AA==\"/>";
        let logo = svg(plain).unwrap();
        assert_eq!((logo.content_type, logo.width), ("image/svg+xml", None));
        assert_eq!(logo.version.len(), 16);
        for (bad, said) in [
            ("<script>alert(1)</script>", "<script>"),
            ("<g><SCRIPT xmlns=\"http://www.w3.org/1999/xhtml\"/></g>", "<SCRIPT>"),
            ("<foreignObject/>", "<foreignObject>"),
            ("<rect onload=\"alert(1)\"/>", "onload"),
            ("<rect ONclick=\"alert(1)\"/>", "ONclick"),
            ("<a href=\"javascript:alert(1)\"/>", "href"),
            ("<a xlink:href=\" https://a.b/\"/>", "href"),
            ("<image href=\"https://a.b/c.png\"/>", "href"),
            ("<use href=\"other.svg#a\"/>", "href"),
            ("<set attributeName=\"href\" to=\"javascript:alert(1)\"/>", "<set>"),
            ("<rect style=\"fill:URL(https://a.b)\"/>", "style"),
            ("<style>@import 'https://a.b'</style>", "style"),
            ("<style>a{b:url( 'https://a.b')}</style>", "style"),
            ("<?xml-stylesheet href=\"https://a.b\"?>", "processing instruction"),
            ("<g>", "can't be read"),
            ("&#0;", "can't be read"),
        ] {
            let told = svg(bad).unwrap_err();
            assert!(told.contains(said) && !told.contains('\n'), "{bad}: {told}");
        }
    }

    #[test]
    fn what_is_no_logo_says_why() {
        let told = |bytes: &[u8]| Logo::read(Bytes::copy_from_slice(bytes)).unwrap_err();
        let entity = b"<!DOCTYPE svg [<!ENTITY a \"b\">]><svg xmlns=\"http://www.w3.org/2000/svg\">&a;</svg>";
        assert!(told(entity).contains("can't be read"), "{}", told(entity));
        for unknown in
            [&b""[..], b"<html/>", b"<svg/>", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", b"BM", b"%PDF"]
        {
            assert!(told(unknown).contains("no PNG, JPEG, WebP or SVG"), "{}", told(unknown));
        }
        assert!(told(b"\x89PNG\r\n\x1a\n").contains("damaged"));
        assert!(told(&vec![0; MAX_BYTES + 1]).contains("32769 bytes"));
        assert!(told(b"<svg xmlns=\"http://www.w3.org/2000/svg\"\xff/>").contains("UTF-8"));
    }
}
