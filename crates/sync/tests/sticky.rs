//! Sticky events (MSC4354) over both faces of sync.

mod support;

use std::time::Duration;

use myelin_model::RoomNid;
use myelin_runtime::ManualClock;
use myelin_store::schema::rooms::{Event, Membership};
use myelin_sync::v3::V3Request;
use myelin_timeline::testing::Draft;
use ruma::{UserId, user_id};
use serde_json::{Value, json};
use support::{Client, Server, alice, bob, bodies, list};

const MINUTE: i64 = 60_000;
const UNSTABLE: &str = "org.matrix.msc4354.sticky_events";

/// A sticky message, for so long.
async fn stick(server: &Server, room: RoomNid, sender: &UserId, body: &str, duration: i64) -> Event {
    let until = ManualClock::START.cast_signed() + duration;
    let draft = Draft::message(room, sender, "m.room.message", json!({ "body": body }));
    server.world.send(draft.sticky(until, duration)).await
}

async fn chatter(server: &Server, room: RoomNid, sender: &UserId) {
    for n in 0..12 {
        server.world.say(room, sender, &n.to_string()).await;
    }
}

/// The sticky section of a room in an answer of `/v3/sync`.
fn section(server: &Server, answer: &Value, room: RoomNid) -> Vec<String> {
    bodies(&answer["rooms"]["join"][server.world.room_id(room).as_str()]["msc4354_sticky"]["events"])
}

fn told(server: &Server, answer: &Value, room: RoomNid) -> Vec<String> {
    bodies(&answer["extensions"][UNSTABLE]["rooms"][server.world.room_id(room).as_str()]["events"])
}

/// A request of sliding sync for the newest rooms, with the extension from where the client stands.
#[expect(clippy::needless_pass_by_value, reason = "callers write the value in place")]
fn sticky(mut body: Value, extension: Value) -> Value {
    body["extensions"] = json!({ UNSTABLE: extension });
    body
}

async fn slide(client: &mut Client, server: &Server, body: Value, since: &mut Option<String>) -> Value {
    let extension = json!({ "enabled": true, "since": since });
    let answer = client.slide(server, sticky(body, extension)).await;
    if let Some(next) = answer["extensions"][UNSTABLE]["next_batch"].as_str() {
        *since = Some(next.to_owned());
    }
    answer
}

#[tokio::test(start_paused = true)]
async fn what_the_timeline_has_no_more_stands_in_a_section_of_its_own_and_once() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    server.world.member(room, bob(), bob(), Membership::Join).await;
    stick(&server, room, bob(), "old", MINUTE).await;
    stick(&server, room, bob(), "over", 0).await;
    chatter(&server, room, alice()).await;
    stick(&server, room, bob(), "new", MINUTE).await;
    let mut client = server.client(alice());
    let answer = client.v3(&server).await;
    assert_eq!(section(&server, &answer, room), ["old"]);
    let joined = &answer["rooms"]["join"][server.world.room_id(room).as_str()];
    let shown = joined["timeline"]["events"].as_array().unwrap().last().unwrap();
    for event in [shown, &joined["msc4354_sticky"]["events"][0]] {
        assert_eq!(event["msc4354_sticky"], json!({ "duration_ms": MINUTE }));
        assert_eq!(event["unsigned"]["msc4354_sticky_duration_ttl_ms"], MINUTE);
        assert_eq!(event.get("sticky"), None);
    }
    assert_eq!(client.v3(&server).await["rooms"], json!({}));
    // What the filter takes out of the timeline is in the section.
    stick(&server, room, bob(), "filtered", MINUTE).await;
    let filter = json!({ "room": { "timeline": { "not_types": ["m.room.message"] } } });
    assert_eq!(section(&server, &client.v3_filtered(&server, &filter).await, room), ["filtered"]);
    assert_eq!(client.v3(&server).await["rooms"], json!({}));
    // A client that begins anew is told those that are still sticky.
    server.clock.advance(Duration::from_millis(59_999));
    let mut other = server.client(alice());
    let answer = other.v3_filtered(&server, &filter).await;
    assert_eq!(section(&server, &answer, room), ["old", "new", "filtered"]);
    server.clock.advance(Duration::from_millis(1));
    let mut late = server.client(alice());
    assert_eq!(section(&server, &late.v3_filtered(&server, &filter).await, room), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn many_are_told_in_parts_each_at_once_after_the_other() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let mut client = server.client(alice());
    client.v3(&server).await;
    let mut slider = server.client(alice());
    let mut since = None;
    let none =
        || json!({ "lists": { "all": { "ranges": [[0, 9]], "timeline_limit": 0, "required_state": [] } } });
    slide(&mut slider, &server, none(), &mut since).await;
    for n in 0..250 {
        stick(&server, room, alice(), &n.to_string(), MINUTE).await;
    }
    let filter = json!({ "room": { "timeline": { "types": [] } } });
    let (mut found, mut parts) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        // None of them has to wait.
        let request = V3Request {
            filter: Some(filter.to_string()),
            timeout: Some(Duration::from_secs(3600)),
            ..V3Request::default()
        };
        let answer = tokio::time::timeout(Duration::from_secs(1), client.try_v3(&server, request)).await;
        let part = section(&server, &answer.expect("it is answered at once").unwrap(), room);
        parts.push(part.len());
        found.extend(part);
    }
    let all: Vec<String> = (0..250).map(|n| n.to_string()).collect();
    assert_eq!((parts, &found), (vec![100, 100, 50], &all));
    assert_eq!(client.v3_filtered(&server, &filter).await["rooms"], json!({}));
    let (mut found, mut parts) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let part = told(&server, &slide(&mut slider, &server, none(), &mut since).await, room);
        parts.push(part.len());
        found.extend(part);
    }
    assert_eq!((parts, found), (vec![100, 100, 50], all));
    let extension = json!({ "enabled": true, "since": since, "limit": 7 });
    let answer = slider.slide(&server, sticky(none(), extension)).await;
    assert_eq!(answer["extensions"], json!({}), "nothing is to be told, and the token is new enough");
    let extension = json!({ "enabled": true, "limit": 7 });
    let answer = slider.slide(&server, sticky(none(), extension)).await;
    assert_eq!(told(&server, &answer, room).len(), 7, "asked for again from the beginning");
    let refused = slider.try_slide(&server, sticky(none(), json!({ "enabled": true, "limit": 0 })), 0).await;
    assert!(refused.is_err());
    let refused =
        slider.try_slide(&server, sticky(none(), json!({ "enabled": true, "since": "x" })), 0).await;
    assert!(refused.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_joins_is_told_all_that_is_sticky_whatever_the_history_visibility() {
    let server = Server::new();
    let room = server.world.room(alice(), "joined").await;
    let (mut client, mut slider, mut since) = (server.client(bob()), server.client(bob()), None);
    client.v3(&server).await;
    slide(&mut slider, &server, list(9, 10, json!([])), &mut since).await;
    stick(&server, room, alice(), "before", MINUTE).await;
    server.world.say(room, alice(), "hidden").await;
    server.world.member(room, alice(), bob(), Membership::Invite).await;
    let answer = client.v3(&server).await;
    assert_eq!(answer["rooms"].as_object().unwrap().keys().collect::<Vec<_>>(), ["invite"]);
    assert!(!answer.to_string().contains("before"));
    let answer = slide(&mut slider, &server, list(9, 10, json!([])), &mut since).await;
    assert!(!answer.to_string().contains("before"), "who is only invited is told nothing");
    server.world.member(room, bob(), bob(), Membership::Join).await;
    stick(&server, room, alice(), "after", MINUTE).await;
    let answer = client.v3(&server).await;
    assert_eq!(section(&server, &answer, room), ["before"]);
    assert!(!answer.to_string().contains("hidden"));
    let answer = slide(&mut slider, &server, list(9, 10, json!([])), &mut since).await;
    assert_eq!(told(&server, &answer, room), ["before"]);
    assert!(!answer.to_string().contains("hidden"));
    // Who has left is told nothing more, and coming back everything again.
    server.world.member(room, alice(), bob(), Membership::Leave).await;
    stick(&server, room, alice(), "meanwhile", MINUTE).await;
    let answer = client.v3(&server).await;
    assert_eq!(answer["rooms"]["join"], Value::Null);
    assert!(!answer.to_string().contains("meanwhile"));
    let answer = slide(&mut slider, &server, list(9, 10, json!([])), &mut since).await;
    assert!(!answer.to_string().contains("meanwhile"));
    server.world.member(room, bob(), bob(), Membership::Join).await;
    let answer = client.v3(&server).await;
    assert_eq!(section(&server, &answer, room), ["before", "meanwhile"]);
    let timeline = &answer["rooms"]["join"][server.world.room_id(room).as_str()]["timeline"]["events"];
    assert!(bodies(timeline).contains(&"after".to_owned()), "that was said while they were in the room");
    let answer = slide(&mut slider, &server, list(9, 1, json!([])), &mut since).await;
    assert_eq!(told(&server, &answer, room), ["before", "after", "meanwhile"]);
}

#[tokio::test(start_paused = true)]
async fn what_ignored_users_and_redacted_events_had_to_say_is_not_told() {
    let server = Server::new();
    let carol = user_id!("@carol:test");
    let room = server.world.room(alice(), "shared").await;
    for user in [bob(), carol] {
        server.world.member(room, user, user, Membership::Join).await;
    }
    server.world.ignore(alice(), bob()).await;
    stick(&server, room, bob(), "ignored", MINUTE).await;
    let redacted = stick(&server, room, carol, "redacted", MINUTE).await;
    stick(&server, room, carol, "kept", MINUTE).await;
    server.world.redact(carol, &redacted).await;
    chatter(&server, room, carol).await;
    let (mut client, mut slider, mut since) = (server.client(alice()), server.client(alice()), None);
    assert_eq!(section(&server, &client.v3(&server).await, room), ["kept"]);
    let answer = slide(&mut slider, &server, list(9, 1, json!([])), &mut since).await;
    assert_eq!(told(&server, &answer, room), ["kept"]);
}

#[tokio::test(start_paused = true)]
async fn rooms_of_a_list_are_told_of_beyond_its_ranges_and_others_when_they_are_asked_for() {
    let server = Server::new();
    let far = server.world.room(alice(), "shared").await;
    let space = server.world.typed_room(alice(), "shared", Some("m.space")).await;
    let near = server.world.room(alice(), "shared").await;
    stick(&server, far, alice(), "far", MINUTE).await;
    stick(&server, space, alice(), "space", MINUTE).await;
    server.world.say(near, alice(), "newest").await;
    let newest = || {
        json!({ "lists": { "all": {
            "ranges": [[0, 0]], "timeline_limit": 1, "required_state": [], "filters": { "not_room_types": ["m.space"] },
        } } })
    };
    let (mut slider, mut since) = (server.client(alice()), None);
    let answer = slide(&mut slider, &server, newest(), &mut since).await;
    assert_eq!(answer["rooms"].as_object().unwrap().len(), 1);
    assert_eq!(told(&server, &answer, far), ["far"]);
    assert_eq!(told(&server, &answer, space), [""; 0]);
    // A room is told again when it is shown: there are clients that drop what they can't place yet.
    let mut all = newest();
    all["lists"]["all"]["ranges"] = json!([[0, 9]]);
    all["lists"]["all"]["timeline_limit"] = json!(0);
    let answer = slide(&mut slider, &server, all.clone(), &mut since).await;
    assert_eq!(told(&server, &answer, far), ["far"]);
    let answer = slide(&mut slider, &server, all, &mut since).await;
    assert_eq!(answer["extensions"], json!({}));
    stick(&server, space, alice(), "more", MINUTE).await;
    let answer = slide(&mut slider, &server, newest(), &mut since).await;
    assert_eq!(told(&server, &answer, space), [""; 0]);
    // Now the client asks for it, after a restart that nothing was written before.
    let server = server.restart().await;
    let mut body = newest();
    body["room_subscriptions"] =
        json!({ server.world.room_id(space).as_str(): { "timeline_limit": 1, "required_state": [] } });
    slider.pos = None;
    let answer = slide(&mut slider, &server, body.clone(), &mut since).await;
    assert_eq!(told(&server, &answer, space), ["space"], "the other one is in the timeline");
    assert_eq!(told(&server, &answer, far), [""; 0], "that was told before");
    let answer = slide(&mut slider, &server, body, &mut since).await;
    assert_eq!(answer["extensions"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_made_again_and_what_the_timeline_has_is_not_repeated() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let (mut slider, mut since) = (server.client(alice()), None);
    slide(&mut slider, &server, list(9, 2, json!([])), &mut since).await;
    stick(&server, room, alice(), "timeline", MINUTE).await;
    let before = (slider.clone(), since.clone());
    let answer = slide(&mut slider, &server, list(9, 2, json!([])), &mut since).await;
    assert_eq!(told(&server, &answer, room), [""; 0]);
    assert!(answer["extensions"][UNSTABLE]["next_batch"].is_string(), "the client has got on");
    (slider, since) = before;
    chatter(&server, room, alice()).await;
    let answer = slide(&mut slider, &server, list(9, 2, json!([])), &mut since).await;
    assert_eq!(told(&server, &answer, room), ["timeline"]);
    chatter(&server, room, alice()).await;
    let answer = slide(&mut slider, &server, list(9, 2, json!([])), &mut since).await;
    assert_eq!(answer["extensions"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_knows_the_final_names_gets_them_everywhere() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    stick(&server, room, alice(), "old", MINUTE).await;
    stick(&server, room, alice(), "new", MINUTE).await;
    let mut body = list(9, 1, json!([]));
    body["extensions"] = json!({ "sticky_events": { "enabled": true } });
    let answer = server.client(alice()).slide(&server, body).await;
    let room_id = server.world.room_id(room).to_string();
    let told = &answer["extensions"]["sticky_events"]["rooms"][&room_id]["events"];
    assert_eq!(bodies(told), ["old"]);
    for event in [&told[0], &answer["rooms"][&room_id]["timeline"][0]] {
        assert_eq!(event["sticky"], json!({ "duration_ms": MINUTE }));
        assert_eq!(event["unsigned"]["sticky_duration_ttl_ms"], MINUTE);
        assert!(!event.to_string().contains("msc4354"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_is_woken_by_a_room_beyond_its_window() {
    let server = Server::new();
    let far = server.world.room(alice(), "shared").await;
    let near = server.world.room(alice(), "shared").await;
    server.world.say(near, alice(), "newest").await;
    let (mut slider, mut since) = (server.client(alice()), None);
    let mut subscribed = json!({ "lists": { "none": {
        "ranges": [], "timeline_limit": 1, "required_state": [], "filters": { "is_dm": false },
    } } });
    subscribed["room_subscriptions"] =
        json!({ server.world.room_id(near).as_str(): { "timeline_limit": 1, "required_state": [] } });
    slide(&mut slider, &server, subscribed.clone(), &mut since).await;
    let body = sticky(subscribed, json!({ "enabled": true, "since": since }));
    let (answer, _) = tokio::join!(slider.try_slide(&server, body, 60_000), async {
        server.world.say(far, alice(), "like any other").await;
        stick(&server, far, alice(), "sticky", MINUTE).await
    });
    assert_eq!(told(&server, &answer.unwrap(), far), ["sticky"]);
}
