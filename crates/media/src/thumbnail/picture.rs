//! Making a small picture of a large one: pure computation over hostile bytes, bounded in pixels and memory.

use std::io::Cursor;

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{PngDecoder, PngEncoder};
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{
    AnimationDecoder, ColorType, DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError,
    ImageFormat, ImageReader, Limits,
};

use super::animation;
use super::size::Size;
use super::{Method, ThumbnailError};

/// The most pixels a picture may have to be decoded.
const MAX_PIXELS: u64 = 32_000_000;
/// The most bytes a decoder may take for one picture, where it counts them: pixels of 8 bytes, the deepest there are.
const MAX_MEMORY: u64 = 256 << 20;
/// Of 100. Beyond it files grow faster than thumbnails look better.
const JPEG_QUALITY: u8 = 82;
/// The largest colour profile that is passed on: those of cameras and screens are below; some of printers are not.
const MAX_PROFILE: usize = 16 << 10;

/// Why there is no thumbnail of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no picture of a kind that this server knows.
    Unsupported,
    /// It claims to be one, and can't be decoded.
    Broken,
    /// It has too many pixels or bytes.
    TooLarge,
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Limits(_) => Self::TooLarge,
            _ => Self::Broken,
        }
    }
}

/// What the beginning of a picture tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// How much memory it takes to make a thumbnail of it, in bytes; an estimate on the safe side.
    pub(crate) memory: u64,
}

/// What a picture is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    pub content_type: &'static str,
    /// As it is shown, in pixels.
    pub width: u32,
    /// As it is shown, in pixels.
    pub height: u32,
}

/// A thumbnail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Thumbnail {
    /// The file itself: it is small enough already.
    Source(&'static str),
    /// A picture, and its content type.
    Made(Vec<u8>, &'static str),
}

/// The kind of picture, by its first bytes; whatever it is declared as.
pub(crate) fn sniff(beginning: &[u8]) -> Result<ImageFormat, Refusal> {
    match image::guess_format(beginning) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP)) => {
            Ok(format)
        }
        _ => Err(Refusal::Unsupported),
    }
}

/// Reads a picture's header.
pub(crate) fn probe(bytes: &[u8]) -> Result<Probe, Refusal> {
    let format = sniff(bytes)?;
    let decoder = open(bytes, format)?;
    let decoded = decoder.total_bytes();
    // A progressive JPEG is kept as coefficients of 16 bits until its last pass. Alpha is multiplied into a copy.
    let factor = if format == ImageFormat::Jpeg || decoder.color_type().has_alpha() { 3 } else { 2 };
    Ok(Probe { memory: decoded.saturating_mul(factor) })
}

/// Makes the thumbnail. `animated` allows one that moves.
pub(crate) fn thumbnail(bytes: &[u8], size: Size, animated: bool) -> Result<Thumbnail, Refusal> {
    let format = sniff(bytes)?;
    let mut decoder = open(bytes, format)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let (width, height) = turned(decoder.dimensions(), orientation);
    let small = size.holds(width, height);
    let moves = (animated || small) && moves(bytes, format)?;
    if small && (animated || !moves) {
        return Ok(Thumbnail::Source(format.to_mime_type()));
    }
    if moves
        && animated
        && let Some((made, content_type)) = animation::thumbnail(bytes, format, size)
    {
        let smaller = made.len() < bytes.len();
        let source = Thumbnail::Source(format.to_mime_type());
        return Ok(if smaller { Thumbnail::Made(made, content_type) } else { source });
    }
    let profile = profile(&mut decoder);
    let mut picture = shrink(&DynamicImage::from_decoder(decoder)?, size, orientation)?;
    picture.apply_orientation(orientation);
    encode(&picture, profile)
}

/// Reads a picture's header for what it is.
pub(crate) fn describe(bytes: &[u8]) -> Result<Described, Refusal> {
    let format = sniff(bytes)?;
    let mut decoder = open(bytes, format)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let (width, height) = turned(decoder.dimensions(), orientation);
    Ok(Described { content_type: format.to_mime_type(), width, height })
}

/// What a picture is, which is decoded whole to know that it is one. It has so many pixels on a side at most.
///
/// # Errors
/// See [`ThumbnailError`].
pub fn inspect(bytes: &[u8], longest: u32) -> Result<Described, ThumbnailError> {
    let described = describe(bytes)?;
    if described.width.max(described.height) > longest {
        return Err(ThumbnailError::TooLarge);
    }
    let decoder = open(bytes, sniff(bytes)?)?;
    DynamicImage::from_decoder(decoder).map_err(Refusal::from)?;
    Ok(described)
}

fn open(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder + '_, Refusal> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    let decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(Refusal::Broken);
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(Refusal::TooLarge);
    }
    Ok(decoder)
}

pub(super) fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    limits
}

/// Whether there is more than one frame. Only for pictures whose size was checked.
fn moves(bytes: &[u8], format: ImageFormat) -> Result<bool, Refusal> {
    let reader = Cursor::new(bytes);
    Ok(match format {
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(reader)?;
            decoder.set_limits(limits())?;
            decoder.into_frames().nth(1).is_some_and(|frame| frame.is_ok())
        }
        ImageFormat::Png => PngDecoder::with_limits(reader, limits())?.is_apng()?,
        ImageFormat::WebP => WebPDecoder::new(reader)?.has_animation(),
        _ => false,
    })
}

/// The colour profile, where the decoded picture still has the colours it speaks of. Without it the vivid colours of
/// a phone's photo would turn pale.
fn profile(decoder: &mut impl ImageDecoder) -> Option<Vec<u8>> {
    let plain = matches!(
        decoder.original_color_type(),
        ExtendedColorType::Rgb8
            | ExtendedColorType::Rgba8
            | ExtendedColorType::Rgb16
            | ExtendedColorType::Rgba16
    );
    let profile = plain.then(|| decoder.icc_profile().ok().flatten()).flatten()?;
    (profile.len() <= MAX_PROFILE).then_some(profile)
}

/// A picture's width and height once it stands upright.
fn turned((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        _ => (width, height),
    }
}

/// Scales or crops, before the picture is turned: what is small turns faster.
pub(super) fn shrink(
    picture: &DynamicImage,
    size: Size,
    orientation: Orientation,
) -> Result<DynamicImage, Refusal> {
    let upright = turned((picture.width(), picture.height()), orientation);
    let (width, height) = turned(size.fit(upright.0, upright.1), orientation);
    let mut small = DynamicImage::new(width, height, picture.color());
    let mut options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    if size.method == Method::Crop {
        options = options.fit_into_destination(None);
    }
    Resizer::new().resize(picture, &mut small, &options).map_err(|_| Refusal::Broken)?;
    Ok(small)
}

/// JPEG, or PNG where something shines through.
fn encode(picture: &DynamicImage, profile: Option<Vec<u8>>) -> Result<Thumbnail, Refusal> {
    let mut bytes = Vec::new();
    if picture.color().has_alpha() {
        let rgba = picture.to_rgba8();
        if rgba.pixels().any(|pixel| pixel[3] != u8::MAX) {
            let mut encoder = PngEncoder::new(&mut bytes);
            set_profile(&mut encoder, profile);
            encoder.write_image(&rgba, rgba.width(), rgba.height(), ExtendedColorType::Rgba8)?;
            return Ok(Thumbnail::Made(bytes, "image/png"));
        }
    }
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
    set_profile(&mut encoder, profile);
    match picture.color() {
        ColorType::L8 | ColorType::L16 => {
            let grey = picture.to_luma8();
            encoder.write_image(&grey, grey.width(), grey.height(), ExtendedColorType::L8)?;
        }
        _ => {
            let rgb = picture.to_rgb8();
            encoder.write_image(&rgb, rgb.width(), rgb.height(), ExtendedColorType::Rgb8)?;
        }
    }
    Ok(Thumbnail::Made(bytes, "image/jpeg"))
}

fn set_profile(encoder: &mut impl ImageEncoder, profile: Option<Vec<u8>>) {
    if let Some(profile) = profile {
        // An encoder that takes none leaves the colours to the viewer.
        drop(encoder.set_icc_profile(profile));
    }
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
