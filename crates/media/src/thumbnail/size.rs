//! Which sizes thumbnails are made in.
//!
//! A fixed list bounds what one upload can be made into. It holds the sizes that the spec asks for ("Thumbnails") and
//! a few larger ones for dense screens, since a thumbnail must not be smaller than what was asked for.

use super::Method;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// In pixels, more than 0.
    pub width: u32,
    /// In pixels, more than 0.
    pub height: u32,
    /// How it is to be fitted.
    pub method: Method,
    /// Whether it had better move, if the source does.
    pub animated: bool,
}

/// One of the sizes in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) method: Method,
}

const fn size(width: u32, height: u32, method: Method) -> Size {
    Size { width, height, method }
}

/// From small to large, by method.
pub(crate) const SIZES: [Size; 8] = [
    size(32, 32, Method::Crop),
    size(96, 96, Method::Crop),
    size(320, 320, Method::Crop),
    size(320, 240, Method::Scale),
    size(640, 480, Method::Scale),
    size(800, 600, Method::Scale),
    size(1600, 1200, Method::Scale),
    size(3200, 2400, Method::Scale),
];

/// The largest size of all: what whoever asks for more gets.
const LARGEST: Size = SIZES[SIZES.len() - 1];

impl Size {
    /// The smallest size that is no smaller than what is wanted. Squares are cropped from a list of their own; a
    /// crop of another form or size is made from the scaled picture by the client, as the spec has it do.
    pub(crate) fn covering(wanted: Wanted) -> Self {
        let square = wanted.width == wanted.height;
        let covers = |size: &&Self| size.width >= wanted.width && size.height >= wanted.height;
        let of = |method| SIZES.iter().filter(move |size| size.method == method);
        let crop = (wanted.method == Method::Crop && square).then(|| of(Method::Crop).find(covers)).flatten();
        crop.or_else(|| of(Method::Scale).find(covers)).copied().unwrap_or(LARGEST)
    }

    /// Whether a picture of this many pixels is no larger: it is served as it is.
    pub(crate) fn holds(self, width: u32, height: u32) -> bool {
        width <= self.width && height <= self.height
    }

    /// What a larger picture becomes, in pixels: at least 1 each way, never more than it has.
    pub(crate) fn fit(self, width: u32, height: u32) -> (u32, u32) {
        let across = f64::from(self.width) / f64::from(width.max(1));
        let down = f64::from(self.height) / f64::from(height.max(1));
        let factor = match self.method {
            Method::Scale => across.min(down),
            Method::Crop => across.max(down),
        };
        let shrink = |length: u32, most: u32| {
            let scaled = (f64::from(length) * factor.min(1.0)).round() as u32;
            scaled.clamp(1, most)
        };
        (shrink(width, self.width), shrink(height, self.height))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covering(width: u32, height: u32, method: Method) -> (u32, u32, Method) {
        let size = Size::covering(Wanted { width, height, method, animated: false });
        (size.width, size.height, size.method)
    }

    #[test]
    fn the_next_larger_size_of_the_method_is_taken() {
        assert_eq!(covering(1, 1, Method::Crop), (32, 32, Method::Crop));
        assert_eq!(covering(32, 32, Method::Crop), (32, 32, Method::Crop));
        assert_eq!(covering(33, 33, Method::Crop), (96, 96, Method::Crop));
        assert_eq!(covering(32, 32, Method::Scale), (320, 240, Method::Scale));
        assert_eq!(covering(320, 241, Method::Scale), (640, 480, Method::Scale));
        assert_eq!(covering(801, 1, Method::Scale), (1600, 1200, Method::Scale));
        assert_eq!(covering(u32::MAX, u32::MAX, Method::Scale), (3200, 2400, Method::Scale));
    }

    #[test]
    fn a_crop_that_is_no_square_comes_from_the_scaled_sizes() {
        assert_eq!(covering(640, 480, Method::Crop), (640, 480, Method::Scale));
        assert_eq!(covering(400, 400, Method::Crop), (640, 480, Method::Scale));
    }

    #[test]
    fn scaling_keeps_the_form_and_cropping_fills() {
        let scale = Size { width: 320, height: 240, method: Method::Scale };
        assert_eq!(scale.fit(640, 480), (320, 240));
        assert_eq!(scale.fit(1000, 100), (320, 32));
        assert_eq!(scale.fit(100, 1000), (24, 240));
        assert_eq!(scale.fit(100_000, 1), (320, 1));
        let crop = Size { width: 96, height: 96, method: Method::Crop };
        assert_eq!(crop.fit(1000, 100), (96, 96));
        assert_eq!(crop.fit(1000, 20), (96, 20), "nothing is ever enlarged");
    }

    proptest! {
        #[test]
        fn a_thumbnail_is_never_larger_than_its_size_or_its_source(
            width in 1_u32..20_000, height in 1_u32..20_000, n in 0_usize..SIZES.len()
        ) {
            let (w, h) = SIZES[n].fit(width, height);
            prop_assert!((1..=width.min(SIZES[n].width)).contains(&w));
            prop_assert!((1..=height.min(SIZES[n].height)).contains(&h));
        }
    }
}
