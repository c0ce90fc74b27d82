//! The accent colour of buttons and links, which everybody must be able to read (WCAG 2.2, 1.4.3 and 1.4.11).

use std::fmt::{Display, Formatter};

/// What text needs to be told from what is behind it (WCAG 2.2, 1.4.3, level AA).
const LEAST: f64 = 4.5;
/// How many shades are tried, from the colour to black or white.
const SHADES: u8 = 50;
/// How much further than the accent a button goes that is pointed at.
const STRONGER: f64 = 0.22;

/// A colour of sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Colour([u8; 3]);

/// Pages, light or dark, as `style.css` has them.
#[derive(Debug)]
pub(super) struct Scheme {
    name: &'static str,
    /// What links stand on: cards, and pages.
    grounds: [Colour; 2],
    /// The text on buttons.
    ink: Colour,
    /// Where colours that can be read better are.
    far: Colour,
    /// What one says of these.
    better: &'static str,
}

pub(super) static LIGHT: Scheme = Scheme {
    name: "light",
    grounds: [Colour([0xff, 0xff, 0xff]), Colour([0xf3, 0xf4, 0xf2])],
    ink: Colour([0xff, 0xff, 0xff]),
    far: Colour([0, 0, 0]),
    better: "darker",
};

pub(super) static DARK: Scheme = Scheme {
    name: "dark",
    grounds: [Colour([0x1b, 0x20, 0x1d]), Colour([0x12, 0x15, 0x13])],
    ink: Colour([0x0b, 0x0e, 0x0d]),
    far: Colour([0xff, 0xff, 0xff]),
    better: "lighter",
};

/// An accent that can be read, with what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accent {
    colour: Colour,
    strong: Colour,
    ink: Colour,
}

impl Scheme {
    /// The accent of this name.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub(super) fn accent(&'static self, text: &str) -> Result<Accent, String> {
        let Some(colour) = Colour::parse(text) else {
            return Err(format!("{text:?} is no colour such as #0b6b53"));
        };
        let (worst, behind) = self.worst(colour);
        if worst >= LEAST {
            return Ok(self.with(colour));
        }
        // Down, so that no ratio that is too low reads as one that is high enough.
        let ratio = (worst * 100.0).floor() / 100.0;
        Err(format!(
            "{colour} has a contrast of {ratio} to 1 with {behind}, and needs {LEAST} to 1 (WCAG AA) to be read on {} pages; \
             take a {} one, such as {}",
            self.name,
            self.better,
            self.readable(colour)
        ))
    }

    /// The nearest shade of another scheme's accent that can be read in this one.
    pub(super) fn made_of(&'static self, other: Accent) -> Accent {
        self.with(self.readable(other.colour))
    }

    fn with(&'static self, colour: Colour) -> Accent {
        Accent { colour, strong: colour.towards(self.far, STRONGER), ink: self.ink }
    }

    fn readable(&self, colour: Colour) -> Colour {
        let shades = (0..=SHADES).map(|shade| colour.towards(self.far, f64::from(shade) / f64::from(SHADES)));
        let mut readable = shades.filter(|shade| self.worst(*shade).0 >= LEAST);
        readable.next().unwrap_or(self.far)
    }

    /// The lowest of the ratios that matter, and with what.
    fn worst(&self, colour: Colour) -> (f64, String) {
        let grounds = self.grounds.map(|ground| (ground, format!("the background {ground}")));
        let all = grounds.into_iter().chain([(self.ink, format!("the text on buttons {}", self.ink))]);
        let ratios = all.map(|(other, name)| (colour.contrast(other), name));
        ratios.min_by(|(a, _), (b, _)| a.total_cmp(b)).unwrap_or_default()
    }
}

impl Colour {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = match digits.len() {
            6 => number.to_be_bytes(),
            // `#abc` is `#aabbcc`.
            3 => [8, 4, 0].iter().fold(0, |all, at| (all << 8) | ((number >> at & 0xf) * 0x11)).to_be_bytes(),
            _ => return None,
        };
        Some(Self([red, green, blue]))
    }

    /// This share of the way to another one.
    fn towards(self, other: Self, share: f64) -> Self {
        let mut mixed = self.0;
        for (own, other) in mixed.iter_mut().zip(other.0) {
            let there = f64::from(*own) + (f64::from(other) - f64::from(*own)) * share;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
            {
                *own = there.round() as u8;
            }
        }
        Self(mixed)
    }

    /// The ratio by which two are told apart, from 1 to 21 (WCAG 2.2, "contrast ratio").
    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// How bright it is, from 0 to 1 (WCAG 2.2, "relative luminance").
    fn luminance(self) -> f64 {
        let linear = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        linear[0].mul_add(0.2126, linear[1].mul_add(0.7152, linear[2] * 0.0722))
    }
}

impl Display for Colour {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Display for Accent {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { colour, strong, ink } = self;
        write!(f, "--accent:{colour};--accent-strong:{strong};--on-accent:{ink}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Colour, DARK, LEAST, LIGHT};

    fn colour(text: &str) -> Colour {
        Colour::parse(text).unwrap()
    }

    #[test]
    fn colours_are_read_as_style_sheets_write_them() {
        assert_eq!(colour("#0b6b53").to_string(), "#0b6b53");
        assert_eq!(colour("#FAB").to_string(), "#ffaabb");
        for none in ["", "#", "0b6b53", "#0b6b5", "#0b6b53f", "#+b6b53", "red", "#0b6b5g", "#é1"] {
            assert_eq!(Colour::parse(none), None, "{none}");
        }
    }

    #[test]
    fn ratios_are_those_of_the_standard() {
        let is = |a, b, ratio: f64| {
            let found = colour(a).contrast(colour(b));
            assert!((found - ratio).abs() < 0.005, "{a} and {b}: {found}");
        };
        is("#000", "#fff", 21.0);
        is("#777", "#fff", 4.48);
        is("#767676", "#fff", 4.54);
        is("#00f", "#ff0", 8.0);
        is("#123456", "#123456", 1.0);
    }

    #[test]
    fn the_pages_are_as_the_style_has_them() {
        let style = include_str!("../style.css");
        let (light, dark) = style.split_once("@media(prefers-color-scheme:dark)").unwrap();
        for (scheme, style) in [(&LIGHT, light), (&DARK, dark)] {
            let [card, page] = scheme.grounds.map(|ground| ground.to_string().replace("#ffffff", "#fff"));
            assert!(style.contains(&format!("--card:{card};")) && style.contains(&format!("--page:{page};")));
        }
    }

    #[test]
    fn one_that_can_t_be_read_is_told_its_ratio_and_what_would_do() {
        let told = LIGHT.accent("#ffcc00").unwrap_err();
        assert!(told.contains("1.37 to 1") && told.contains("4.5 to 1") && told.contains("darker"), "{told}");
        assert!(told.contains("#f3f4f2"), "{told}");
        LIGHT.accent(told.rsplit(' ').next().unwrap()).unwrap();
        let told = DARK.accent("#0b6b53").unwrap_err();
        assert!(told.contains("lighter") && told.contains("dark pages"), "{told}");
        DARK.accent(told.rsplit(' ').next().unwrap()).unwrap();
        let told = LIGHT.accent("#767676").unwrap_err();
        assert!(told.contains("4.11"), "on white alone it could be read: {told}");
    }

    proptest! {
        #[test]
        fn whatever_is_made_of_a_colour_can_be_read_and_so_can_what_is_on_it(rgb: [u8; 3]) {
            for scheme in [&LIGHT, &DARK] {
                let accent = scheme.made_of(scheme.with(Colour(rgb)));
                prop_assert!(scheme.accent(&accent.colour.to_string()).is_ok());
                for other in scheme.grounds {
                    prop_assert!(accent.colour.contrast(other) >= LEAST);
                }
                prop_assert!(accent.colour.contrast(accent.ink) >= LEAST);
                prop_assert!(accent.strong.contrast(accent.ink) >= LEAST);
            }
        }
    }
}
