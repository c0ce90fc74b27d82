//! A text as the picture that phones read (QR code), drawn in the page itself.

use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};

/// Modules of white around it, which readers need.
const QUIET: usize = 4;

/// The picture, with what it is called for who does not see it; nothing where the text is too long.
pub(crate) fn picture(text: &str, called: &str) -> Option<Markup> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let size = width + 2 * QUIET;
    let colors = code.to_colors();
    let dark = colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark);
    let path: String =
        dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET)).collect();
    // Black on white in dark mode, too: not every app reads the reverse.
    Some(html! {
        svg.qr role="img" aria-label=(called) viewBox={ "0 0 " (size) " " (size) } shape-rendering="crispEdges" {
            path fill="#fff" d={ "M0 0h" (size) "v" (size) "h-" (size) "z" } {}
            path fill="#000" d=(path) {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::picture;

    #[test]
    fn a_picture_has_its_finder_patterns_and_a_quiet_margin() {
        let picture = picture("otpauth://totp/example.org:alice?secret=GEZDGNBVGY3TQOJQ", "<x>").unwrap();
        let text = picture.into_string();
        assert!(text.contains("aria-label=\"&lt;x&gt;\""), "{text}");
        let row: String = (4..11).map(|x| format!("M{x} 4h1v1h-1z")).collect();
        assert!(text.contains(&row), "the upper side of the first finder pattern");
        assert!(!text.contains("M3 ") && !text.contains(" 3h1"));
        assert!(super::picture(&"x".repeat(10_000), "").is_none());
    }
}
