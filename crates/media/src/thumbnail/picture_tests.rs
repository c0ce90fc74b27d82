use std::sync::LazyLock;

use image::codecs::gif::GifEncoder;
use image::{Frame, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;

use super::super::size::SIZES;
use super::*;

const RED: Rgb<u8> = Rgb([220, 20, 20]);
const BLUE: Rgb<u8> = Rgb([20, 20, 220]);

const TINY: Size = SIZES[0];
const SCALED: Size = SIZES[3];

/// The left half is red, the right half blue.
fn two_colours(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { RED } else { BLUE })
}

/// Red that fades to nothing from left to right.
fn fading(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, _| Rgba([220, 20, 20, (x * 255 / width) as u8]))
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.into().write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// A GIF of two frames.
fn moving(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let frame = |picture: RgbImage| Frame::new(DynamicImage::from(picture).to_rgba8());
    let other = RgbImage::from_pixel(width, height, BLUE);
    GifEncoder::new(&mut bytes).encode_frames([frame(two_colours(width, height)), frame(other)]).unwrap();
    bytes
}

/// An Exif block that holds nothing but the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block
}

fn jpeg_turned(picture: &RgbImage, orientation: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif(orientation)).unwrap();
    encoder.write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn made(bytes: &[u8], size: Size) -> (DynamicImage, &'static str) {
    match thumbnail(bytes, size, false) {
        Ok(Thumbnail::Made(bytes, content_type)) => {
            assert_eq!(sniff(&bytes).unwrap().to_mime_type(), content_type);
            (image::load_from_memory(&bytes).unwrap(), content_type)
        }
        other => panic!("no thumbnail was made: {other:?}"),
    }
}

fn is_near(picture: &RgbImage, x: u32, y: u32, colour: Rgb<u8>) -> bool {
    picture.get_pixel(x, y).0.iter().zip(colour.0).all(|(a, b)| a.abs_diff(b) < 30)
}

#[test]
fn every_kind_of_picture_is_scaled_and_cropped() {
    let picture = two_colours(1000, 500);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let bytes = encoded(picture.clone(), format);
        let (small, content_type) = made(&bytes, SCALED);
        assert_eq!((small.width(), small.height(), content_type), (320, 160, "image/jpeg"), "{format:?}");
        let small = small.to_rgb8();
        assert!(is_near(&small, 80, 80, RED) && is_near(&small, 240, 80, BLUE), "{format:?}");
        let (square, _) = made(&bytes, TINY);
        assert_eq!((square.width(), square.height()), (32, 32), "{format:?}");
        let square = square.to_rgb8();
        assert!(is_near(&square, 4, 16, RED) && is_near(&square, 27, 16, BLUE), "the middle is cut out");
    }
}

#[test]
fn what_shines_through_stays_so_and_is_a_png() {
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let (small, content_type) = made(&encoded(fading(800, 400), format), SCALED);
        assert_eq!(content_type, "image/png");
        let small = small.to_rgba8();
        assert!(small.get_pixel(10, 80)[3] < 20 && small.get_pixel(310, 80)[3] > 235);
        assert!(small.get_pixel(300, 80)[0] > 200, "colours are not mixed with what can't be seen");
    }
    let opaque = DynamicImage::from(two_colours(800, 400)).to_rgba8();
    assert_eq!(made(&encoded(opaque, ImageFormat::Png), SCALED).1, "image/jpeg");
}

#[test]
fn grey_and_deep_pictures_are_understood() {
    let rgb = DynamicImage::from(two_colours(800, 400));
    let pictures: [DynamicImage; 5] = [
        rgb.to_luma8().into(),
        rgb.to_luma_alpha8().into(),
        rgb.to_luma16().into(),
        rgb.to_rgb16().into(),
        rgb.to_rgba16().into(),
    ];
    for picture in pictures {
        let (small, _) = made(&encoded(picture, ImageFormat::Png), SCALED);
        assert_eq!((small.width(), small.height()), (320, 160));
    }
}

#[test]
fn a_photo_stands_upright_in_its_thumbnail() {
    // Which corner of the thumbnail is red and which is blue, by the orientation of a camera.
    let cases = [
        (1, (320, 160), (10, 80), (310, 80)),
        (2, (320, 160), (310, 80), (10, 80)),
        (3, (320, 160), (310, 80), (10, 80)),
        (4, (320, 160), (10, 80), (310, 80)),
        (5, (120, 240), (60, 10), (60, 230)),
        (6, (120, 240), (60, 10), (60, 230)),
        (7, (120, 240), (60, 230), (60, 10)),
        (8, (120, 240), (60, 230), (60, 10)),
    ];
    for (orientation, dimensions, red, blue) in cases {
        let (small, _) = made(&jpeg_turned(&two_colours(1000, 500), orientation), SCALED);
        assert_eq!((small.width(), small.height()), dimensions, "orientation {orientation}");
        let small = small.to_rgb8();
        assert!(is_near(&small, red.0, red.1, RED), "orientation {orientation}");
        assert!(is_near(&small, blue.0, blue.1, BLUE), "orientation {orientation}");
    }
}

#[test]
fn a_picture_that_is_small_enough_is_its_own_thumbnail() {
    let bytes = encoded(two_colours(320, 240), ImageFormat::Png);
    assert_eq!(thumbnail(&bytes, SCALED, false), Ok(Thumbnail::Source("image/png")));
    // Upright, it is too high.
    let lying = jpeg_turned(&two_colours(320, 200), 6);
    assert_eq!(made(&lying, SCALED).0.height(), 240);
    assert_eq!(
        thumbnail(&jpeg_turned(&two_colours(240, 320), 6), SCALED, false),
        Ok(Thumbnail::Source("image/jpeg"))
    );
}

#[test]
fn a_thumbnail_moves_only_for_those_who_want_it_to() {
    let small = moving(100, 80);
    assert_eq!(thumbnail(&small, SCALED, true), Ok(Thumbnail::Source("image/gif")));
    let (still, content_type) = made(&small, SCALED);
    assert_eq!((still.width(), still.height(), content_type), (100, 80, "image/jpeg"), "nothing is enlarged");
    assert!(is_near(&still.to_rgb8(), 10, 40, RED), "it is the first frame");
    let large = moving(600, 400);
    assert!(matches!(thumbnail(&large, SCALED, false), Ok(Thumbnail::Made(_, "image/jpeg"))));
    assert!(!matches!(thumbnail(&large, SCALED, true), Ok(Thumbnail::Made(_, "image/jpeg"))));
    let still = encoded(two_colours(100, 80), ImageFormat::Gif);
    assert_eq!(thumbnail(&still, SCALED, false), Ok(Thumbnail::Source("image/gif")));
}

#[test]
fn the_colour_profile_is_kept() {
    let picture = two_colours(800, 400);
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(b"not read, only handed on".to_vec()).unwrap();
    encoder.write_image(&picture, 800, 400, ExtendedColorType::Rgb8).unwrap();
    let Ok(Thumbnail::Made(small, _)) = thumbnail(&bytes, SCALED, false) else { panic!("no thumbnail") };
    let mut decoder = open(&small, ImageFormat::Jpeg).unwrap();
    assert_eq!(decoder.icc_profile().unwrap().as_deref(), Some(&b"not read, only handed on"[..]));
}

#[test]
fn a_decompression_bomb_is_refused_before_it_is_decoded() {
    let png = encoded(image::GrayImage::new(8000, 8000), ImageFormat::Png);
    assert!(png.len() < 1_000_000, "64 million pixels in a small file");
    let mut gif = encoded(two_colours(64, 64), ImageFormat::Gif);
    gif[6..10].fill(0xff);
    let mut jpeg = encoded(two_colours(64, 64), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    for bomb in [png, gif, jpeg] {
        assert_eq!(probe(&bomb), Err(Refusal::TooLarge));
        assert_eq!(thumbnail(&bomb, SCALED, false), Err(Refusal::TooLarge));
    }
}

#[test]
fn what_is_no_picture_is_refused() {
    let texts: [&[u8]; 6] =
        [b"", b"\x89PNG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"BM....", b"%PDF-1.7", b"II*\0"];
    for bytes in texts {
        assert_eq!(thumbnail(bytes, SCALED, false), Err(Refusal::Unsupported), "{bytes:?}");
    }
    let starts: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF....WEBP"];
    for bytes in starts {
        assert_eq!(thumbnail(bytes, SCALED, false), Err(Refusal::Broken), "{bytes:?}");
    }
}

static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let rgb = two_colours(60, 50);
    vec![
        encoded(rgb.clone(), ImageFormat::Png),
        encoded(fading(60, 50), ImageFormat::Png),
        encoded(rgb.clone(), ImageFormat::Jpeg),
        jpeg_turned(&rgb, 6),
        encoded(rgb.clone(), ImageFormat::Gif),
        moving(60, 50),
        encoded(rgb, ImageFormat::WebP),
        encoded(fading(60, 50), ImageFormat::WebP),
    ]
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_make_it_panic_or_give_a_thumbnail_of_the_wrong_size(
        seed in 0_usize..8,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        animated in any::<bool>(),
    ) {
        let mut bytes = SEEDS[seed].clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let _ = probe(&bytes);
        if let Ok(Thumbnail::Made(small, _)) = thumbnail(&bytes, TINY, animated) {
            let small = image::load_from_memory(&small).unwrap();
            prop_assert!(small.width() <= 32 && small.height() <= 32);
        }
    }
}
