//! Uploads, downloads, deletion, quarantine.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use myelin_store::schema::media::{self, MediaContent};
use proptest::prelude::*;
use ruma::server_name;

use super::rig::{LIMIT, Rig, alice, body, here};
use crate::{NewFile, UploadError};

/// Bytes that no two seeds share.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 ^ seed ^ ((n / 251) as u8)).collect()
}

#[tokio::test]
async fn what_is_uploaded_comes_back_with_its_type_and_name() {
    let rig = Rig::new().await;
    for (seed, length) in
        [(0, 0), (1, 1), (2, 10_000), (3, crate::CHUNK), (4, crate::CHUNK + 1), (5, 2_500_000)]
    {
        let file = NewFile {
            content_type: Some("image/x-strange; a=b".to_owned()),
            filename: Some("Krieg und Frieden – 戦争と平和.pdf".to_owned()),
            declared_size: Some(length as u64),
        };
        let media_id = rig.upload_as(file, &noise(seed, length)).await.unwrap();
        let (file, bytes) = rig.download(&media_id).await.unwrap();
        assert_eq!(bytes, noise(seed, length));
        assert_eq!(file.size, length as u64);
        assert_eq!(file.content_type, "image/x-strange; a=b");
        assert_eq!(file.filename.as_deref(), Some("Krieg und Frieden – 戦争と平和.pdf"));
    }
    rig.assert_whole().await;
}

#[tokio::test]
async fn without_a_content_type_a_file_is_a_stream_of_octets() {
    let rig = Rig::new().await;
    let media_id = rig.upload(b"x").await.unwrap();
    let (file, _) = rig.download(&media_id).await.unwrap();
    assert_eq!((file.content_type.as_str(), file.filename), ("application/octet-stream", None));
}

#[tokio::test]
async fn identical_content_is_stored_once_and_goes_with_its_last_record() {
    let rig = Rig::new().await;
    let first = rig.upload(b"the same").await.unwrap();
    let second = rig.upload(b"the same").await.unwrap();
    assert_ne!(first, second);
    assert_eq!(rig.files().len(), 1);
    rig.assert_whole().await;

    assert!(rig.media.delete(&first).await.unwrap());
    assert_eq!(rig.download(&first).await, None);
    assert_eq!(rig.download(&second).await.unwrap().1, b"the same");
    rig.assert_whole().await;

    assert!(rig.media.delete(&second).await.unwrap());
    assert_eq!(rig.files(), [""; 0]);
    assert_eq!(rig.rows::<MediaContent>().await, []);
    assert!(!rig.media.delete(&second).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_and_deletions_of_one_content_at_once_leave_it_whole() {
    let rig = Arc::new(Rig::new().await);
    let mut all = Vec::new();
    for n in 0..4 {
        let rig = Arc::clone(&rig);
        all.push(tokio::spawn(async move {
            for round in 0..40 {
                let media_id = rig.upload(b"wanted by many").await.unwrap();
                assert!(rig.download(&media_id).await.is_some());
                // The count falls to nothing again and again, while others upload.
                if round < 39 || n % 2 == 0 {
                    assert!(rig.media.delete(&media_id).await.unwrap());
                }
            }
        }));
    }
    for task in all {
        task.await.unwrap();
    }
    let contents: Vec<MediaContent> = rig.rows().await;
    assert_eq!(contents.iter().map(|row| row.refs).collect::<Vec<_>>(), [2]);
    rig.assert_whole().await;
}

#[tokio::test]
async fn a_blob_that_the_disk_lost_is_mended_by_the_next_upload() {
    let rig = Rig::new().await;
    let first = rig.upload(b"lost").await.unwrap();
    let name = rig.files()[0].clone();
    let path = rig.folder.path().join("media").join(&name[..2]).join(&name[2..4]).join(&name);
    std::fs::remove_file(path).unwrap();
    let file = rig.media.lookup(here(), &first).await.unwrap().unwrap();
    assert!(matches!(rig.bytes(&file).await, Err(crate::StorageError::Missing(_))));
    rig.upload(b"lost").await.unwrap();
    assert_eq!(rig.download(&first).await.unwrap().1, b"lost");
}

#[tokio::test]
async fn a_file_that_says_it_is_too_large_is_refused_before_it_is_read() {
    let rig = Rig::new().await;
    let never = stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, std::io::Error>>> {
        panic!("the body was read")
    });
    let file = NewFile { declared_size: Some(LIMIT + 1), ..NewFile::default() };
    let refused = rig.media.upload(&alice(), file, never).await;
    assert!(matches!(refused, Err(UploadError::TooLarge { limit: LIMIT })));
}

#[tokio::test]
async fn a_file_that_turns_out_too_large_is_refused_and_leaves_nothing() {
    let rig = Rig::new().await;
    assert!(rig.upload(&noise(0, LIMIT as usize)).await.is_ok());
    let refused = rig.upload(&noise(1, LIMIT as usize + 1)).await;
    assert!(matches!(refused, Err(UploadError::TooLarge { limit: LIMIT })));
    rig.settle().await;
    rig.assert_whole().await;
    assert_eq!(rig.files().len(), 1);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let rig = Rig::new().await;
    let broken = body(&noise(0, 1_000_000)).chain(stream::iter([Err(std::io::Error::other("reset"))]));
    let refused = rig.media.upload(&alice(), NewFile::default(), broken).await;
    assert!(matches!(refused, Err(UploadError::BrokenOff(_))));
    rig.settle().await;
    rig.assert_whole().await;
    assert_eq!(rig.files(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_stands_still_is_given_up() {
    let rig = Rig::new().await;
    let stuck = body(b"some").chain(stream::pending());
    let refused = rig.media.upload(&alice(), NewFile::default(), stuck).await;
    assert!(matches!(refused, Err(UploadError::StoodStill)));
}

#[tokio::test]
async fn one_user_can_not_take_all_the_room_for_uploads() {
    let rig = Rig::new().await;
    let alice = alice();
    let start = || rig.media.upload(&alice, NewFile::default(), body(b"x").chain(stream::pending()));
    let mut under_way: Vec<_> = (0..8).map(|_| Box::pin(start())).collect();
    for upload in &mut under_way {
        assert!(futures_util::poll!(upload).is_pending());
    }
    assert!(matches!(rig.upload(b"x").await, Err(UploadError::TooMany)));
    let mut bob = alice.clone();
    bob.user_id = "@bob:example.org".try_into().unwrap();
    assert!(rig.media.upload(&bob, NewFile::default(), body(b"x")).await.is_ok());
    under_way.pop();
    assert!(rig.upload(b"x").await.is_ok());
}

#[tokio::test]
async fn what_can_be_no_header_is_refused() {
    let rig = Rig::new().await;
    for content_type in ["a\nb".to_owned(), "ä/b".to_owned(), "x".repeat(256)] {
        let file = NewFile { content_type: Some(content_type), ..NewFile::default() };
        assert!(matches!(rig.upload_as(file, b"x").await, Err(UploadError::BadContentType)));
    }
    let file = NewFile { filename: Some("x".repeat(1025)), ..NewFile::default() };
    assert!(matches!(rig.upload_as(file, b"x").await, Err(UploadError::BadFilename)));
}

#[tokio::test]
async fn media_of_others_and_of_nobody_is_not_there() {
    let rig = Rig::new().await;
    let media_id = rig.upload(b"x").await.unwrap();
    assert_eq!(rig.media.lookup(server_name!("elsewhere.org"), &media_id).await.unwrap(), None);
    assert_eq!(rig.media.lookup(server_name!("example.org:8448"), &media_id).await.unwrap(), None);
    for unknown in ["", "..", "../../etc/passwd", "nothing", &media_id.to_lowercase()] {
        assert_eq!(rig.media.lookup(here(), unknown).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_quarantined_file_is_served_to_nobody_until_it_is_free_again() {
    let rig = Rig::new().await;
    let media_id = rig.upload(b"x").await.unwrap();
    for _ in 0..2 {
        assert!(rig.media.quarantine(&media_id).await.unwrap());
        assert_eq!(rig.download(&media_id).await, None);
    }
    assert_eq!(rig.files().len(), 1);
    for _ in 0..2 {
        assert!(rig.media.unquarantine(&media_id).await.unwrap());
        assert!(rig.download(&media_id).await.is_some());
    }
    assert!(!rig.media.quarantine("nothing").await.unwrap());
}

#[tokio::test]
async fn an_access_is_noted_once_a_day() {
    let rig = Rig::new().await;
    let media_id = rig.upload(b"x").await.unwrap();
    let noted = async || {
        assert!(rig.env.tasks.clone().stop(Duration::from_secs(5)).await);
        rig.rows::<media::Media>().await[0].last_access
    };
    let created = rig.rows::<media::Media>().await[0].last_access;
    rig.clock.advance(Duration::from_secs(86_399));
    rig.download(&media_id).await.unwrap();
    assert_eq!(rig.rows::<media::Media>().await[0].last_access, created);
    rig.clock.advance(Duration::from_secs(1));
    rig.download(&media_id).await.unwrap();
    rig.download(&media_id).await.unwrap();
    assert_eq!(noted().await, created + 86_400_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_pieces_come_back_in_order(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90_000), 0..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new().await;
            let whole = pieces.concat();
            let stream = stream::iter(pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece))));
            let uri = rig.media.upload(&alice(), NewFile::default(), stream).await.unwrap();
            let (_, bytes) = rig.download(&super::rig::media_id(&uri)).await.unwrap();
            assert!(bytes == whole);
        });
    }
}
