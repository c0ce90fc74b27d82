//! Small pictures that move, of large ones that do: GIF of GIF, and PNG with frames (APNG) of WebP and PNG, since there
//! is no encoder of moving WebP. Pure computation over hostile bytes, bounded in frames, pixels and memory.

use std::io::Cursor;

use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{AnimationDecoder, Delay, DynamicImage, Frame, Frames, ImageDecoder, ImageFormat, RgbaImage};

use super::picture::{Refusal, limits, shrink};
use super::size::Size;

/// The most frames a thumbnail has.
const MAX_FRAMES: usize = 512;
/// The most pixels of all frames together that are decoded: it takes a second or so.
const MAX_DECODED: u64 = 128_000_000;
/// The most pixels of all frames of a thumbnail: they wait in memory to be written.
const MAX_DRAWN: u64 = 16_000_000;
/// How much memory that takes, in bytes.
pub(super) const MEMORY: u64 = MAX_DRAWN * 4;
/// Of the search for a frame's 256 colours, 1 is the slowest and 30 the fastest.
const GIF_SPEED: i32 = 20;

/// A moving thumbnail and its content type; `None` where the picture is too long or too large to be made to move, or
/// breaks off: then a still one has to do.
pub(super) fn thumbnail(bytes: &[u8], format: ImageFormat, size: Size) -> Option<(Vec<u8>, &'static str)> {
    let frames = collect(frames(bytes, format).ok()?, size)?;
    match format {
        ImageFormat::Gif => gif(frames).map(|bytes| (bytes, "image/gif")),
        _ => apng(&frames).map(|bytes| (bytes, "image/png")),
    }
}

fn frames(bytes: &[u8], format: ImageFormat) -> Result<Frames<'_>, Refusal> {
    let reader = Cursor::new(bytes);
    Ok(match format {
        ImageFormat::Gif => {
            let mut decoder = GifDecoder::new(reader)?;
            decoder.set_limits(limits())?;
            decoder.into_frames()
        }
        ImageFormat::Png => PngDecoder::with_limits(reader, limits())?.apng()?.into_frames(),
        ImageFormat::WebP => {
            let mut decoder = WebPDecoder::new(reader)?;
            decoder.set_limits(limits())?;
            decoder.into_frames()
        }
        _ => return Err(Refusal::Unsupported),
    })
}

struct Small {
    picture: RgbaImage,
    delay: Delay,
}

fn collect(frames: Frames<'_>, size: Size) -> Option<Vec<Small>> {
    let (mut decoded, mut drawn) = (0, 0);
    let mut small = Vec::new();
    for frame in frames {
        let frame = frame.ok()?;
        let delay = frame.delay();
        let picture = DynamicImage::from(frame.into_buffer());
        decoded += u64::from(picture.width()) * u64::from(picture.height());
        if decoded > MAX_DECODED || small.len() >= MAX_FRAMES {
            return None;
        }
        let picture = shrink(&picture, size, Orientation::NoTransforms).ok()?.into_rgba8();
        drawn += u64::from(picture.width()) * u64::from(picture.height());
        if drawn > MAX_DRAWN {
            return None;
        }
        small.push(Small { picture, delay });
    }
    Some(small)
}

fn gif(frames: Vec<Small>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, GIF_SPEED);
    encoder.set_repeat(Repeat::Infinite).ok()?;
    for Small { picture, delay } in frames {
        encoder.encode_frame(Frame::from_parts(picture, 0, 0, delay)).ok()?;
    }
    drop(encoder);
    Some(bytes)
}

fn apng(frames: &[Small]) -> Option<Vec<u8>> {
    let first = frames.first()?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, first.picture.width(), first.picture.height());
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_animated(u32::try_from(frames.len()).ok()?, 0).ok()?;
    let mut writer = encoder.write_header().ok()?;
    for Small { picture, delay } in frames {
        let (numerator, denominator) = delay.numer_denom_ms();
        let millis = numerator.checked_div(denominator).unwrap_or(0);
        writer.set_frame_delay(u16::try_from(millis).unwrap_or(u16::MAX), 1_000).ok()?;
        writer.write_image_data(picture).ok()?;
    }
    writer.finish().ok()?;
    Some(bytes)
}

#[cfg(test)]
#[path = "animation_tests.rs"]
mod tests;
