//! What a user may have, and content that nobody may.

use futures_util::future::join_all;
use myelin_store::schema::media::MediaUsage;

use super::rig::{Rig, alice};
use super::thumbnails::{WANTED, photo};
use crate::{NewFile, UploadError, Usage};

/// A quota is 100 files and 50 MiB in these tests.
const MIB: usize = 1 << 20;

async fn usage(rig: &Rig) -> (u64, u64) {
    let Usage { files, bytes } = rig.media.usage(&alice().user_id).await.unwrap();
    (files, bytes)
}

#[tokio::test]
async fn what_is_uploaded_counts_until_it_is_deleted() {
    let mut rig = Rig::new().await;
    assert_eq!(usage(&rig).await, (0, 0));
    let first = rig.upload(b"twice").await.unwrap();
    rig.upload(b"twice").await.unwrap();
    let picture = rig.upload(&photo()).await.unwrap();
    rig.media.thumbnail(super::rig::here(), &picture, WANTED).await.unwrap();
    rig.restart().await;
    assert_eq!(usage(&rig).await, (3, 10 + photo().len() as u64), "each counts, and thumbnails do not");
    rig.media.delete(&first).await.unwrap();
    rig.media.delete(&picture).await.unwrap();
    assert_eq!(usage(&rig).await, (1, 5));
    rig.settle().await;
    rig.assert_whole().await;
}

#[tokio::test]
async fn nobody_has_more_than_their_quota_however_they_hurry() {
    let rig = Rig::new().await;
    let piece = vec![7; 2 * MIB + MIB / 2];
    for _ in 0..16 {
        rig.upload(&piece).await.unwrap();
    }
    let hurried = join_all((0..8).map(|_| rig.upload(&piece))).await;
    assert_eq!(hurried.iter().filter(|one| one.is_ok()).count(), 4, "20 of them are 50 MiB");
    assert!(hurried.iter().all(|one| matches!(one, Ok(_) | Err(UploadError::OverQuota))));
    assert!(matches!(rig.upload(b"x").await, Err(UploadError::OverQuota)));
    rig.settle().await;
    rig.assert_whole().await;
    let one = hurried.into_iter().flatten().next().unwrap();
    rig.media.delete(&one).await.unwrap();
    rig.upload(b"x").await.unwrap();
    let declared = NewFile { declared_size: Some(3 * MIB as u64), ..NewFile::default() };
    let refused = rig.upload_as(declared, b"").await;
    assert!(matches!(refused, Err(UploadError::OverQuota)), "before it is read");
}

#[tokio::test]
async fn a_quota_counts_files_too() {
    let rig = Rig::new().await;
    for _ in 0..100 {
        rig.upload(b"").await.unwrap();
    }
    assert!(matches!(rig.upload(b"").await, Err(UploadError::OverQuota)));
    assert_eq!(rig.rows::<MediaUsage>().await.len(), 1);
}

#[tokio::test]
async fn content_that_is_withheld_is_served_to_nobody_and_not_taken_in() {
    let mut rig = Rig::new().await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(rig.upload(b"evil").await.unwrap());
    }
    let other = rig.upload(b"good").await.unwrap();
    let blob = rig.media.about(&all[0]).await.unwrap().unwrap().blob;
    assert_eq!(rig.media.quarantine_content(blob).await.unwrap(), 3);
    rig.restart().await;
    for media_id in &all {
        assert_eq!(rig.download(media_id).await, None);
        assert!(rig.media.about(media_id).await.unwrap().unwrap().quarantined);
    }
    assert!(matches!(rig.upload(b"evil").await, Err(UploadError::Quarantined)));
    assert!(rig.download(&other).await.is_some());
    assert_eq!(rig.media.unquarantine_content(blob).await.unwrap(), 3);
    assert_eq!(rig.download(&all[2]).await.unwrap().1, b"evil");
    rig.upload(b"evil").await.unwrap();
    rig.settle().await;
    rig.assert_whole().await;
}
