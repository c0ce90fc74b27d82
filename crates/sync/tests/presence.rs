//! Presence in `/v3/sync`: who is told of whom, and who is woken.

mod support;

use std::time::Duration;

use myelin_store::schema::rooms::Membership;
use myelin_sync::v3::V3Request;
use ruma::{UserId, user_id};
use serde_json::{Value, json};
use support::{Client, Server, alice, bob};

fn eve() -> &'static UserId {
    user_id!("@eve:test")
}

/// Senders and states, in order.
fn presence(answer: &Value) -> Vec<(String, String)> {
    let events = answer["presence"]["events"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for event in &events {
        assert_eq!(event["type"], "m.presence");
    }
    events.iter().map(|event| (text(&event["sender"]), text(&event["content"]["presence"]))).collect()
}

fn of(user: &UserId, state: &str) -> (String, String) {
    (user.to_string(), state.to_owned())
}

/// Waits for a minute, or until something is to be told; says whether that was in the first ten seconds.
async fn wait(server: &Server, client: &mut Client) -> (Value, bool) {
    let request = V3Request { timeout: Some(Duration::from_secs(60)), ..V3Request::default() };
    let mut answer = std::pin::pin!(client.try_v3(server, request));
    tokio::select! {
        answer = &mut answer => return (answer.expect("an answer"), true),
        () = tokio::time::sleep(Duration::from_secs(10)) => {}
    }
    (answer.await.expect("an answer"), false)
}

#[tokio::test(start_paused = true)]
async fn a_change_wakes_those_who_share_a_room_and_nobody_else() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    server.world.member(room, bob(), bob(), Membership::Join).await;
    server.world.room(eve(), "shared").await;
    let (mut a, mut b, mut e) = (server.client(alice()), server.client(bob()), server.client(eve()));
    for client in [&mut a, &mut b, &mut e] {
        client.v3(&server).await;
    }
    let change = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        server.presence.set(alice(), "online");
    };
    let (own, others, strangers, ()) =
        tokio::join!(wait(&server, &mut a), wait(&server, &mut b), wait(&server, &mut e), change);
    assert_eq!(presence(&others.0), [of(alice(), "online")]);
    assert!(others.1);
    assert_eq!(presence(&own.0), [of(alice(), "online")], "one's own comes with the next answer");
    assert!(!own.1);
    assert_eq!((presence(&strangers.0), strangers.1), (vec![], false));
    assert_eq!(presence(&b.v3(&server).await), [], "it is told once");
}

#[tokio::test(start_paused = true)]
async fn a_first_sync_tells_of_those_who_are_there_and_share_a_room() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    server.world.member(room, bob(), bob(), Membership::Join).await;
    let carol = user_id!("@carol:test");
    server.world.member(room, alice(), carol, Membership::Invite).await;
    for user in [alice(), bob(), carol, eve()] {
        server.presence.set(user, "online");
    }
    let shown = [of(alice(), "online"), of(bob(), "online")];
    assert_eq!(presence(&server.client(alice()).v3(&server).await), shown);
    // More members than can be there: their rooms are read instead.
    for number in 0..40 {
        let member = UserId::parse(format!("@member{number}:test")).unwrap();
        server.world.member(room, &member, &member, Membership::Join).await;
    }
    assert_eq!(presence(&server.client(alice()).v3(&server).await), shown);
    server.presence.set(bob(), "offline");
    assert_eq!(presence(&server.client(alice()).v3(&server).await), [of(alice(), "online")]);
}

#[tokio::test(start_paused = true)]
async fn whoever_meets_learns_of_each_other() {
    let server = Server::new();
    let (one, two) = (server.world.room(alice(), "shared").await, server.world.room(bob(), "shared").await);
    server.world.member(two, eve(), eve(), Membership::Join).await;
    let mut a = server.client(alice());
    a.v3(&server).await;
    server.presence.set(eve(), "unavailable");
    server.presence.set(bob(), "online");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(presence(&a.v3(&server).await), []);
    server.world.member(one, bob(), bob(), Membership::Join).await;
    assert_eq!(presence(&a.v3(&server).await), [of(bob(), "online")], "a new member");
    assert_eq!(presence(&a.v3(&server).await), []);
    server.world.member(two, alice(), alice(), Membership::Join).await;
    let met = [of(bob(), "online"), of(eve(), "unavailable")];
    assert_eq!(presence(&a.v3(&server).await), met, "a new room");
    server.world.member(two, alice(), alice(), Membership::Leave).await;
    a.v3(&server).await;
    server.presence.set(eve(), "online");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(presence(&a.v3(&server).await), [], "nothing shared any more");
}

#[tokio::test(start_paused = true)]
async fn many_changes_wake_once_in_a_while() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    server.world.member(room, bob(), bob(), Membership::Join).await;
    let mut a = server.client(alice());
    a.v3(&server).await;
    let changes = async {
        for n in 0..100 {
            server.presence.set(bob(), if n % 2 == 0 { "online" } else { "unavailable" });
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut changes = std::pin::pin!(changes);
    let mut answers = 0;
    loop {
        let request = V3Request { timeout: Some(Duration::from_secs(5)), ..V3Request::default() };
        let answer = tokio::select! {
            answer = a.try_v3(&server, request) => answer.unwrap(),
            () = &mut changes => break,
        };
        answers += usize::from(!presence(&answer).is_empty());
    }
    assert!((5..=12).contains(&answers), "{answers}");
}

#[tokio::test(start_paused = true)]
async fn a_filter_may_leave_it_out() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    server.world.member(room, bob(), bob(), Membership::Join).await;
    server.presence.set(bob(), "online");
    let mut a = server.client(alice());
    for filter in
        [json!({ "not_types": ["m.presence"] }), json!({ "types": [] }), json!({ "not_senders": [bob()] })]
    {
        let answer = a.v3_filtered(&server, &json!({ "presence": filter })).await;
        assert_eq!(presence(&answer), [], "{filter}");
        a.since = None;
    }
}

#[tokio::test(start_paused = true)]
async fn the_counter_of_another_run_of_the_server_means_nothing() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    server.world.member(room, bob(), bob(), Membership::Join).await;
    let mut a = server.client(alice());
    for _ in 0..10 {
        server.presence.set(bob(), "online");
    }
    a.v3(&server).await;
    let server = server.restart().await;
    server.presence.set(bob(), "unavailable");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(presence(&a.v3(&server).await), [of(bob(), "unavailable")]);
}
