//! Sticky events (MSC4354) as rows.

use std::time::Duration;

use myelin_store::schema::rooms::Event;
use myelin_store::schema::sticky::StickyEvent;
use myelin_store::{Reader, Scan};

use super::{World, creation, draft};
use crate::{Draft, MAX_STICKY, Refusal, SendError};

const MINUTE: i64 = 60_000;

fn sticky(sender: &str, n: usize, duration: i64) -> Draft {
    let content = serde_json::json!({ "n": n });
    Draft { sticky: Some(duration), ..draft(sender, "org.example", None, &content) }
}

async fn rows(world: &World) -> Vec<StickyEvent> {
    let snapshot = world.engine.snapshot().await.unwrap();
    snapshot.scan::<StickyEvent>(Scan::prefix::<StickyEvent>((), 10_000)).await.unwrap()
}

#[tokio::test]
async fn a_row_says_until_when_and_is_forgotten_when_that_is_past() {
    let world = World::new();
    let room = world.room(creation("@alice:hs")).await;
    for (n, duration) in [(0, 0), (1, MINUTE), (2, 2 * MINUTE)] {
        world.rooms.send(&room, sticky("@alice:hs", n, duration), None).await.unwrap();
    }
    world.say("@alice:hs", &room, "plain").await.unwrap();
    let now = world.rooms.deps.now();
    let found = rows(&world).await;
    let until: Vec<i64> = found.iter().map(|row| row.until - now).collect();
    assert_eq!(until, [MINUTE, 2 * MINUTE], "what lasts no time at all never is sticky");
    let snapshot = world.engine.snapshot().await.unwrap();
    let event = snapshot.get::<Event>(&(found[0].event,)).await.unwrap().unwrap();
    assert_eq!((event.pos, event.sticky_until), (found[0].pos, Some(now + MINUTE)));
    drop(snapshot);
    assert_eq!(world.head(&room).await.sticky_until, Some(now + 2 * MINUTE));
    world.rooms.forget_sticky().await.unwrap();
    assert_eq!(rows(&world).await.len(), 2);
    world.clock.advance(Duration::from_millis(60_000));
    world.rooms.forget_sticky().await.unwrap();
    assert_eq!(rows(&world).await, found[1..]);
    world.clock.advance(Duration::from_secs(60));
    world.rooms.forget_sticky().await.unwrap();
    assert_eq!(rows(&world).await, []);
}

#[tokio::test]
async fn no_more_are_taken_of_a_user_than_they_may_have_however_many_they_send_at_once() {
    let world = World::new();
    let room = world.room(creation("@alice:hs")).await;
    let sending =
        (0..MAX_STICKY + 100).map(|n| world.rooms.send(&room, sticky("@alice:hs", n, MINUTE), None));
    let sent = futures_util::future::join_all(sending).await;
    let refused =
        |sent: &&Result<_, SendError>| matches!(sent, Err(SendError::Refused(Refusal::TooManySticky { .. })));
    assert!(sent.iter().filter(refused).count() >= 100);
    assert!(sent.iter().all(|sent| sent.is_ok() || refused(&sent)));
    assert!((MAX_STICKY / 2..=MAX_STICKY).contains(&rows(&world).await.len()));
    world
        .rooms
        .send(&room, draft("@alice:hs", "org.example", None, &serde_json::json!({})), None)
        .await
        .unwrap();
    world.rooms.send(&room, sticky("@alice:hs", 0, 0), None).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    world.rooms.send(&room, sticky("@alice:hs", 0, MINUTE), None).await.unwrap();
}
