//! The process dies, or the disk is full, at every write in turn.

use super::rig::{End, Fuse, Rig, here};
use super::thumbnails::{WANTED, photo};
use crate::{StorageError, UploadError};

/// Opens the service again with a fuse of `writes`.
async fn with_fuse(rig: &mut Rig, writes: i64, end: End) {
    rig.restart_with(Fuse::after(writes, end)).await;
}

/// More writes than any operation here does.
const MOST: i64 = 40;

#[tokio::test]
async fn an_upload_that_dies_anywhere_is_whole_or_absent_after_the_restart() {
    for end in [End::Undone, End::Unheard] {
        let mut writes = 0;
        loop {
            assert!(writes < MOST);
            let mut rig = Rig::new().await;
            let before = rig.upload(b"kept from before").await.unwrap();
            with_fuse(&mut rig, writes, end).await;
            let uploaded = rig.upload(b"new").await;
            let burnt = rig.fuse.has_burnt();
            rig.restart().await;
            rig.assert_whole().await;
            assert!(rig.download(&before).await.is_some());
            if let Ok(media_id) = uploaded {
                assert_eq!(rig.download(&media_id).await.unwrap().1, b"new", "acknowledged means durable");
                if !burnt {
                    break;
                }
            }
            writes += 1;
        }
        assert!(writes >= 5, "stage, row, sync, publish and record were each failed once");
    }
}

#[tokio::test]
async fn a_second_upload_that_dies_anywhere_spares_the_first_of_that_content() {
    for end in [End::Undone, End::Unheard] {
        for writes in 0..5 {
            let mut rig = Rig::new().await;
            let first = rig.upload(b"the same").await.unwrap();
            with_fuse(&mut rig, writes, end).await;
            drop(rig.upload(b"the same").await);
            rig.restart().await;
            rig.assert_whole().await;
            assert_eq!(rig.download(&first).await.unwrap().1, b"the same");
        }
    }
}

#[tokio::test]
async fn a_deletion_that_dies_anywhere_leaves_all_or_nothing() {
    for end in [End::Undone, End::Unheard] {
        let mut writes = 0;
        loop {
            assert!(writes < MOST);
            let mut rig = Rig::new().await;
            let media_id = rig.upload(&photo()).await.unwrap();
            rig.media.thumbnail(here(), &media_id, WANTED).await.unwrap().unwrap();
            with_fuse(&mut rig, writes, end).await;
            let deleted = rig.media.delete(&media_id).await.is_ok();
            let burnt = rig.fuse.has_burnt();
            rig.restart().await;
            rig.assert_whole().await;
            let there = rig.download(&media_id).await.is_some();
            assert!(!(deleted && there));
            assert_eq!(there, !rig.files().is_empty());
            if !burnt {
                break;
            }
            writes += 1;
        }
        assert!(writes >= 5);
    }
}

#[tokio::test]
async fn a_thumbnail_that_dies_anywhere_can_be_made_after_the_restart() {
    for end in [End::Undone, End::Unheard] {
        let mut writes = 0;
        loop {
            assert!(writes < MOST);
            let mut rig = Rig::new().await;
            let media_id = rig.upload(&photo()).await.unwrap();
            with_fuse(&mut rig, writes, end).await;
            drop(rig.media.thumbnail(here(), &media_id, WANTED).await);
            let burnt = rig.fuse.has_burnt();
            rig.restart().await;
            rig.assert_whole().await;
            assert!(rig.media.thumbnail(here(), &media_id, WANTED).await.unwrap().is_some());
            rig.assert_whole().await;
            if !burnt {
                break;
            }
            writes += 1;
        }
    }
}

#[tokio::test]
async fn a_disk_that_is_full_at_any_moment_keeps_nothing_and_recovers_by_itself() {
    let mut writes = 0;
    loop {
        assert!(writes < MOST);
        let mut rig = Rig::new().await;
        let before = rig.upload(b"kept from before").await.unwrap();
        with_fuse(&mut rig, writes, End::Full).await;
        let uploaded = rig.upload(b"new").await;
        if uploaded.is_ok() {
            break;
        }
        assert!(matches!(uploaded, Err(UploadError::Storage(StorageError::Full))), "{uploaded:?}");
        while rig.files().iter().any(|name| name.len() != 64) {
            tokio::task::yield_now().await;
        }
        rig.assert_whole().await;
        assert_eq!(rig.files().len(), 1);
        assert!(rig.download(&before).await.is_some());
        assert!(rig.upload(b"new").await.is_ok());
        writes += 1;
    }
    assert!(writes >= 5);
}
