//! Users who subscribed to threads.

use myelin_store::schema::notify::{Notification, ThreadFollower, ThreadStep, ThreadSubscription};
use myelin_store::{Reader, Scan};

use super::{Kind, ROOM, Sending, Step, World, room, text, user};

async fn steps(world: &World) -> usize {
    let scan = Scan::prefix::<ThreadStep>((ROOM,), usize::MAX);
    world.snapshot().await.scan::<ThreadStep>(scan).await.unwrap().len()
}

#[tokio::test]
async fn an_event_in_a_thread_is_one_row_however_many_subscribed_to_it_or_to_others() {
    let mut world = room(9).await;
    for number in 1..5 {
        world.subscribe(number, 0, false).await;
    }
    for number in 5..9 {
        world.subscribe(number, 1, false).await;
        // Whoever has rules of their own is judged one by one, and is told the same by the same row.
        world.keyword(number, number % 2 == 0).await;
    }
    world.send(&Sending { thread: Some(0), ..text(0) }).await;
    assert_eq!(steps(&world).await, 1);
    for number in 1..9 {
        assert!(world.rows::<Notification>(number).await.is_empty());
        assert_eq!(world.total(number).await.0, u64::from(number < 5), "user {number}");
    }
    // What would notify nobody else is no row where nobody subscribed.
    world.send(&Sending { kind: Kind::Topic, thread: Some(2), ..text(0) }).await;
    assert_eq!(steps(&world).await, 1);
    world.send(&Sending { kind: Kind::Topic, thread: Some(1), ..text(0) }).await;
    assert_eq!(steps(&world).await, 2);
    assert_eq!((world.total(1).await.0, world.total(5).await.0), (1, 1));
}

#[tokio::test]
async fn a_room_that_is_purged_takes_its_subscriptions_along() {
    let mut world = room(2).await;
    world.apply(&Step::Subscribe { user: 1, root: 0, automatic: false }).await;
    assert_eq!(world.rows::<ThreadSubscription>(1).await.len(), 1);
    let mut batch = world.batch();
    world.notify.room_purged(ROOM, &[user(1)], &mut batch);
    world.commit_batch(batch).await;
    assert!(world.rows::<ThreadSubscription>(1).await.is_empty());
    // That the user follows threads is about no room.
    let key = (user(1),);
    assert!(world.snapshot().await.get::<ThreadFollower>(&key).await.unwrap().is_some());
}
