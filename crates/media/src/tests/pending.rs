//! URIs that are there before their files.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use myelin_store::schema::media::MediaPending;
use tokio::time::timeout;

use super::rig::{Rig, alice, body, here, media_id};
use crate::{Arrival, CreateError, NewFile, UploadError};

const DAY: Duration = Duration::from_secs(86_400);

fn bob() -> myelin_model::Requester {
    myelin_model::Requester { user_id: "@bob:example.org".try_into().unwrap(), session: 2, ..alice() }
}

async fn created(rig: &Rig) -> String {
    media_id(&rig.media.create(&alice()).await.unwrap().uri)
}

async fn fill(rig: &Rig, media_id: &str, bytes: &[u8]) -> Result<(), UploadError> {
    rig.media.upload_to(&alice(), media_id, NewFile::default(), body(bytes)).await
}

#[tokio::test]
async fn a_file_comes_to_its_uri_later_and_only_once() {
    let mut rig = Rig::new().await;
    let media_id = created(&rig).await;
    assert_eq!(rig.download(&media_id).await, None);
    rig.restart().await;
    fill(&rig, &media_id, b"later").await.unwrap();
    assert_eq!(rig.download(&media_id).await.unwrap().1, b"later");
    assert!(matches!(fill(&rig, &media_id, b"again").await, Err(UploadError::Uploaded)));
    assert_eq!(rig.download(&media_id).await.unwrap().1, b"later");
    assert!(rig.rows::<MediaPending>().await.is_empty());
    rig.settle().await;
    rig.assert_whole().await;
}

#[tokio::test]
async fn only_who_made_a_uri_may_fill_it() {
    let rig = Rig::new().await;
    let own = created(&rig).await;
    let direct = rig.upload(b"direct").await.unwrap();
    for media_id in [&own, &direct] {
        let refused = rig.media.upload_to(&bob(), media_id, NewFile::default(), body(b"x")).await;
        assert!(matches!(refused, Err(UploadError::Foreign)));
    }
    assert!(matches!(fill(&rig, &direct, b"x").await, Err(UploadError::Uploaded)));
    assert!(matches!(fill(&rig, "nothing", b"x").await, Err(UploadError::NotCreated)));
    rig.settle().await;
    rig.assert_whole().await;
}

#[tokio::test]
async fn of_two_files_for_one_uri_at_once_one_is_kept() {
    let rig = Rig::new().await;
    let media_id = created(&rig).await;
    let (first, second) = futures_util::join!(fill(&rig, &media_id, b"one"), fill(&rig, &media_id, b"two"));
    assert!(first.is_ok() != second.is_ok());
    let refused = first.err().or(second.err()).unwrap();
    assert!(matches!(refused, UploadError::Uploaded), "{refused}");
    rig.settle().await;
    rig.assert_whole().await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_can_be_tried_again() {
    let rig = Rig::new().await;
    let media_id = created(&rig).await;
    let broken = body(b"half").chain(stream::iter([Err(std::io::Error::other("reset"))]));
    let refused = rig.media.upload_to(&alice(), &media_id, NewFile::default(), broken).await;
    assert!(matches!(refused, Err(UploadError::BrokenOff(_))));
    fill(&rig, &media_id, b"whole").await.unwrap();
}

#[tokio::test]
async fn a_uri_without_a_file_ends_after_a_day_even_under_an_upload() {
    let rig = Rig::new().await;
    let made = rig.media.create(&alice()).await.unwrap();
    let id = media_id(&made.uri);
    let other = created(&rig).await;
    rig.clock.advance(DAY - Duration::from_millis(1));
    fill(&rig, &id, b"in time").await.unwrap();
    let clock = Arc::clone(&rig.clock);
    let slow = body(b"too ").chain(stream::once(async move {
        clock.advance(Duration::from_millis(1));
        Ok("late".into())
    }));
    let late = rig.media.upload_to(&alice(), &other, NewFile::default(), slow.boxed()).await;
    assert!(matches!(late, Err(UploadError::NotCreated)));
    assert_eq!(made.unused_expires_at, myelin_runtime::Clock::now(&*rig.clock));
    assert_eq!(rig.media.arrival(here(), &other, DAY).await.unwrap(), Arrival::Never);
    created(&rig).await;
    assert_eq!(rig.rows::<MediaPending>().await.len(), 1, "the next one takes it along");
}

#[tokio::test]
async fn a_user_has_so_many_pending_uris_and_no_more() {
    let rig = Rig::new().await;
    let asked = (0..40).map(|_| async { rig.media.create(&alice()).await });
    let made = futures_util::future::join_all(asked).await;
    assert_eq!(made.iter().filter(|one| one.is_ok()).count(), 32);
    assert!(made.iter().all(|one| matches!(one, Ok(_) | Err(CreateError::TooMany))));
    assert!(rig.media.create(&bob()).await.is_ok());
    let first = media_id(&made.iter().flatten().next().unwrap().uri);
    fill(&rig, &first, b"x").await.unwrap();
    assert!(rig.media.create(&alice()).await.is_ok());
    assert!(matches!(rig.media.create(&alice()).await, Err(CreateError::TooMany)));
    rig.clock.advance(DAY);
    assert!(rig.media.create(&alice()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_file_is_woken_by_its_upload() {
    let rig = Rig::new().await;
    let media_id = created(&rig).await;
    let wait = rig.media.arrival(here(), &media_id, Duration::from_secs(50));
    tokio::pin!(wait);
    assert!(futures_util::poll!(&mut wait).is_pending());
    fill(&rig, &media_id, b"x").await.unwrap();
    let woken = timeout(Duration::from_secs(1), wait).await.expect("it is woken, and does not wait on");
    assert_eq!(woken.unwrap(), Arrival::Uploaded);
    assert_eq!(rig.media.arrival(here(), &media_id, Duration::ZERO).await.unwrap(), Arrival::Uploaded);
}

#[tokio::test(start_paused = true)]
async fn patience_ends_after_what_was_asked_and_after_a_minute() {
    let rig = Rig::new().await;
    let media_id = created(&rig).await;
    for (asked, waits) in [(5, 5), (3600, 60)] {
        let wait = async |seconds| {
            let patience = Duration::from_secs(asked);
            timeout(Duration::from_secs(seconds), rig.media.arrival(here(), &media_id, patience)).await
        };
        assert!(wait(waits - 1).await.is_err(), "it waits as long as it was asked to");
        assert_eq!(wait(waits + 1).await.expect("and no longer").unwrap(), Arrival::NotYet);
    }
    assert_eq!(rig.media.arrival(here(), &media_id, Duration::ZERO).await.unwrap(), Arrival::NotYet);
    assert_eq!(rig.media.arrival(here(), "nothing", DAY).await.unwrap(), Arrival::Never);
    let elsewhere = ruma::server_name!("elsewhere.org");
    assert_eq!(rig.media.arrival(elsewhere, &media_id, DAY).await.unwrap(), Arrival::Never);
}
