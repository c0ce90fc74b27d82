//! Thumbnails as the service makes, keeps and shares them.

use std::io::Cursor;
use std::sync::Arc;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use myelin_store::schema::media::{self, MediaThumbnail};
use ruma::server_name;

use super::rig::{End, Fuse, Rig, here};
use crate::{Method, ThumbnailError, Wanted};

pub(super) const WANTED: Wanted = Wanted { width: 320, height: 240, method: Method::Scale, animated: false };

pub(super) fn photo() -> Vec<u8> {
    picture(900, 600)
}

fn picture(width: u32, height: u32) -> Vec<u8> {
    let picture = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 90]));
    let mut bytes = Vec::new();
    DynamicImage::from(picture).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

async fn thumbnail(
    rig: &Rig,
    media_id: &str,
    wanted: Wanted,
) -> Result<(String, DynamicImage), ThumbnailError> {
    let file = rig.media.thumbnail(here(), media_id, wanted).await?.unwrap();
    let bytes = rig.bytes(&file).await.unwrap();
    Ok((file.content_type, image::load_from_memory(&bytes).unwrap()))
}

#[tokio::test]
async fn a_thumbnail_is_made_once_and_then_read() {
    let rig = Rig::new().await;
    let media_id = rig.upload(&photo()).await.unwrap();
    let (content_type, first) = thumbnail(&rig, &media_id, WANTED).await.unwrap();
    assert_eq!((content_type.as_str(), first.width(), first.height()), ("image/jpeg", 320, 213));
    rig.assert_whole().await;
    let files = rig.files();
    // A smaller wish has the same size of the list.
    let smaller = Wanted { width: 200, height: 200, ..WANTED };
    let (_, second) = thumbnail(&rig, &media_id, smaller).await.unwrap();
    assert_eq!(first.as_bytes(), second.as_bytes());
    assert_eq!(rig.files(), files);
    assert_eq!(rig.rows::<MediaThumbnail>().await.len(), 1);
    let crop = Wanted { width: 90, height: 90, method: Method::Crop, animated: false };
    let (_, square) = thumbnail(&rig, &media_id, crop).await.unwrap();
    assert_eq!((square.width(), square.height()), (96, 96));
    assert_eq!(rig.rows::<MediaThumbnail>().await.len(), 2);
    rig.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_ask_at_once_share_one_job() {
    let mut rig = Rig::new().await;
    let media_id = rig.upload(&photo()).await.unwrap();
    // Write, row, sync, publish, record: a second job would need more.
    rig.restart_with(Fuse::after(5, End::Undone)).await;
    let rig = Arc::new(rig);
    let all: Vec<_> = (0..50)
        .map(|_| {
            let (rig, media_id) = (Arc::clone(&rig), media_id.clone());
            tokio::spawn(async move { thumbnail(&rig, &media_id, WANTED).await.unwrap().1.width() })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), 320);
    }
    assert!(!rig.fuse.has_burnt());
    rig.assert_whole().await;
}

#[tokio::test]
async fn a_small_picture_is_its_own_thumbnail_and_takes_no_more_room() {
    let rig = Rig::new().await;
    let bytes = picture(120, 90);
    let media_id = rig.upload(&bytes).await.unwrap();
    let file = rig.media.thumbnail(here(), &media_id, WANTED).await.unwrap().unwrap();
    assert_eq!(rig.bytes(&file).await.unwrap(), bytes);
    assert_eq!((file.content_type.as_str(), rig.files().len()), ("image/png", 1));
    rig.assert_whole().await;
}

#[tokio::test]
async fn thumbnails_go_with_their_source_and_are_withheld_with_it() {
    let rig = Rig::new().await;
    let media_id = rig.upload(&photo()).await.unwrap();
    thumbnail(&rig, &media_id, WANTED).await.unwrap();
    thumbnail(&rig, &media_id, Wanted { width: 640, ..WANTED }).await.unwrap();
    rig.media.quarantine(&media_id).await.unwrap();
    assert_eq!(rig.media.thumbnail(here(), &media_id, WANTED).await.unwrap(), None);
    rig.media.unquarantine(&media_id).await.unwrap();
    assert!(rig.media.delete(&media_id).await.unwrap());
    assert_eq!(rig.media.thumbnail(here(), &media_id, WANTED).await.unwrap(), None);
    assert_eq!(rig.files(), [""; 0]);
    rig.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_that_is_deleted_while_its_thumbnail_is_made_takes_it_along() {
    for _ in 0..20 {
        let rig = Arc::new(Rig::new().await);
        let media_id = rig.upload(&photo()).await.unwrap();
        let asker = {
            let (rig, media_id) = (Arc::clone(&rig), media_id.clone());
            tokio::spawn(async move { rig.media.thumbnail(here(), &media_id, WANTED).await })
        };
        assert!(rig.media.delete(&media_id).await.unwrap());
        match asker.await.unwrap() {
            Ok(_) | Err(ThumbnailError::Storage(_)) => {}
            Err(other) => panic!("{other}"),
        }
        assert!(rig.rows::<media::Media>().await.is_empty());
        assert!(rig.rows::<MediaThumbnail>().await.is_empty());
        assert_eq!(rig.files(), [""; 0]);
    }
}

#[tokio::test]
async fn what_can_have_no_thumbnail_is_refused_every_time_and_read_only_once() {
    let rig = Rig::new().await;
    let mut cut = photo();
    cut.truncate(1000);
    let mut video = b"\0\0\0\x20ftypisom".to_vec();
    video.resize(1_000_000, 7);
    for (bytes, text) in [(cut, "broken"), (video, "no picture"), (Vec::new(), "no picture")] {
        let media_id = rig.upload(&bytes).await.unwrap();
        for _ in 0..2 {
            let refused = rig.media.thumbnail(here(), &media_id, WANTED).await.unwrap_err();
            assert!(refused.to_string().contains(text), "{refused}");
        }
    }
    assert!(rig.rows::<MediaThumbnail>().await.is_empty());
    rig.assert_whole().await;
}

#[tokio::test]
async fn there_are_no_thumbnails_of_what_is_not_here() {
    let rig = Rig::new().await;
    assert_eq!(rig.media.thumbnail(here(), "nothing", WANTED).await.unwrap(), None);
    let elsewhere = server_name!("elsewhere.org");
    assert_eq!(rig.media.thumbnail(elsewhere, "nothing", WANTED).await.unwrap(), None);
}
