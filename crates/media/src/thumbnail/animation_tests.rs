use image::{Rgba, RgbaImage};

use super::super::picture::{self, Thumbnail};
use super::super::size::SIZES;
use super::*;

const SCALED: Size = SIZES[3];
const TINY: Size = SIZES[0];

/// Frames of one colour each, the left half of them transparent.
fn pictures(width: u32, height: u32, count: u8) -> Vec<Small> {
    let colour = |n: u8| Rgba([n * 40, 200 - n * 40, 90, 255]);
    let frame = |n| {
        let picture =
            RgbaImage::from_fn(width, height, |x, _| if x < width / 2 { Rgba([0; 4]) } else { colour(n) });
        Small { picture, delay: Delay::from_numer_denom_ms(100 + 50 * u32::from(n), 1) }
    };
    (0..count).map(frame).collect()
}

fn made(bytes: &[u8], size: Size) -> (Vec<u8>, &'static str) {
    match picture::thumbnail(bytes, size, true) {
        Ok(Thumbnail::Made(bytes, content_type)) => (bytes, content_type),
        other => panic!("no thumbnail was made: {other:?}"),
    }
}

fn decoded(bytes: &[u8], format: ImageFormat) -> Vec<Frame> {
    frames(bytes, format).unwrap().collect_frames().unwrap()
}

/// What shows some noise in each frame, so that a smaller picture has fewer bytes.
fn noisy(mut frames: Vec<Small>) -> Vec<Small> {
    for frame in &mut frames {
        for (x, y, pixel) in frame.picture.enumerate_pixels_mut() {
            let mixed = (x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77)).wrapping_mul(0xc2b2_ae3d);
            pixel[2] = (mixed >> 24) as u8;
        }
    }
    frames
}

#[test]
fn all_frames_are_there_in_their_time() {
    for (bytes, format, content_type) in [
        (gif(noisy(pictures(640, 480, 4))).unwrap(), ImageFormat::Gif, "image/gif"),
        (apng(&noisy(pictures(640, 480, 4))).unwrap(), ImageFormat::Png, "image/png"),
    ] {
        let (small, kind) = made(&bytes, SCALED);
        assert_eq!(kind, content_type);
        assert!(small.len() < bytes.len());
        let frames = decoded(&small, format);
        assert_eq!(frames.len(), 4);
        for (n, frame) in frames.iter().enumerate() {
            assert_eq!(frame.buffer().dimensions(), (320, 240));
            let (numerator, denominator) = frame.delay().numer_denom_ms();
            assert_eq!(numerator / denominator, 100 + 50 * n as u32);
            assert_eq!(frame.buffer().get_pixel(10, 100)[3], 0, "what can't be seen stays so");
            let seen = frame.buffer().get_pixel(300, 100);
            assert!(seen[0].abs_diff(n as u8 * 40) < 30 && seen[3] == 255, "{seen:?} in frame {n}");
        }
        let (cropped, _) = made(&bytes, TINY);
        assert_eq!(decoded(&cropped, format)[3].buffer().dimensions(), (32, 32));
        let still = picture::thumbnail(&bytes, SCALED, false);
        assert!(matches!(still, Ok(Thumbnail::Made(_, "image/png"))), "nobody gets what moves unasked");
    }
}

#[test]
fn a_thumbnail_that_would_be_no_smaller_is_the_picture_itself() {
    // Two flat colours take next to nothing, whatever their size.
    let flat = gif(pictures(330, 240, 2)).unwrap();
    match picture::thumbnail(&flat, SCALED, true) {
        Ok(Thumbnail::Source("image/gif")) => {}
        Ok(Thumbnail::Made(bytes, "image/gif")) => assert!(bytes.len() < flat.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_breaks_off_or_is_too_long_stands_still() {
    let mut cut = gif(noisy(pictures(640, 480, 4))).unwrap();
    cut.truncate(cut.len() * 3 / 4);
    assert!(thumbnail(&cut, ImageFormat::Gif, SCALED).is_none());
    assert!(matches!(picture::thumbnail(&cut, SCALED, true), Ok(Thumbnail::Made(_, "image/png"))));
    let tiny = RgbaImage::from_pixel(40, 40, Rgba([1, 2, 3, 255]));
    let frame = || Small { picture: tiny.clone(), delay: Delay::from_numer_denom_ms(10, 1) };
    let long = gif((0..=MAX_FRAMES).map(|_| frame()).collect()).unwrap();
    assert!(thumbnail(&long, ImageFormat::Gif, TINY).is_none());
    let still = gif(pictures(640, 480, 1)).unwrap();
    assert!(matches!(picture::thumbnail(&still, SCALED, true), Ok(Thumbnail::Made(_, "image/png"))));
}
