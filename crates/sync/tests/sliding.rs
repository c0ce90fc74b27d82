//! Sliding sync as Element X uses it.

#![expect(clippy::unwrap_used, reason = "a failure fails the test")]

mod support;

use myelin_store::schema::rooms::Membership;
use myelin_store::schema::users::GLOBAL;
use myelin_sync::Flush;
use myelin_sync::sliding::SlidingError;
use myelin_timeline::testing::Draft;
use serde_json::{Value, json};
use support::{Server, alice, bob, bodies, kinds, list};

#[tokio::test(start_paused = true)]
async fn a_first_answer_shows_the_newest_rooms_and_the_next_ones_only_what_changed() {
    let server = Server::new();
    let mut rooms = Vec::new();
    for n in 0..5 {
        let room = server.world.room(alice(), "shared").await;
        let name = json!({ "name": format!("Room {n}") });
        server.world.send(Draft::state(room, alice(), "m.room.name", "", name)).await;
        server.world.say(room, alice(), &format!("hello {n}")).await;
        rooms.push(server.world.room_id(room).to_string());
    }
    let mut client = server.client(alice());
    let ask = || list(1, 1, json!([["m.room.name", ""], ["m.room.member", "$ME"]]));
    let answer = client.slide(&server, ask()).await;
    assert_eq!(answer["lists"]["all"]["count"], 5);
    assert_eq!(answer["rooms"].as_object().unwrap().len(), 2);
    let newest = &answer["rooms"][&rooms[4]];
    assert_eq!(newest["name"], "Room 4");
    assert_eq!(newest["initial"], true);
    assert_eq!(newest["limited"], true);
    assert_eq!(bodies(&newest["timeline"]), ["hello 4"]);
    assert_eq!(kinds(&newest["required_state"]), ["m.room.member/@alice:test", "m.room.name/"]);
    assert_eq!(newest["joined_count"], 1);
    assert_eq!(newest["num_live"], 0);
    assert!(newest["prev_batch"].as_str().unwrap().starts_with("t1_"));

    let answer = client.slide(&server, ask()).await;
    assert_eq!(answer["rooms"], json!({}));
    server.world.say(myelin_model::RoomNid(room_number(&rooms[4])), alice(), "more").await;
    let answer = client.slide(&server, ask()).await;
    let delta = &answer["rooms"][&rooms[4]];
    assert_eq!(delta.get("initial"), None);
    assert_eq!(delta.get("name"), None);
    assert_eq!(bodies(&delta["timeline"]), ["more"]);
    assert_eq!(delta["num_live"], 1);
    assert_eq!(delta.get("limited"), None);
    assert_eq!(answer["rooms"].as_object().unwrap().len(), 1);

    let grown = client.slide(&server, list(9, 1, json!([["m.room.name", ""]]))).await;
    assert_eq!(grown["rooms"].as_object().unwrap().len(), 3, "those that were not sent before");
}

fn room_number(room_id: &str) -> i64 {
    room_id.trim_start_matches("!room").trim_end_matches(":test").parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_is_woken_by_its_rooms_and_by_nothing_else() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let other = server.world.room(bob(), "shared").await;
    let mut client = server.client(alice());
    client.slide(&server, list(9, 5, json!([]))).await;
    let mut waiting = Box::pin(client.try_slide(&server, list(9, 5, json!([])), 30_000));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    server.world.say(other, bob(), "elsewhere").await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
        assert!(futures_util::poll!(&mut waiting).is_pending());
    }
    server.world.say(room, alice(), "here").await;
    let answer = waiting.await.unwrap();
    let room_id = server.world.room_id(room).to_string();
    assert_eq!(bodies(&answer["rooms"][&room_id]["timeline"]), ["here"]);
    let idle = client.try_slide(&server, list(9, 5, json!([])), 30_000).await.unwrap();
    assert_eq!(idle["rooms"], json!({}), "after the timeout the answer is empty");
}

#[tokio::test(start_paused = true)]
async fn a_join_wakes_and_so_does_the_first_message_after_it() {
    let server = Server::new();
    let room = server.world.room(bob(), "shared").await;
    let mut client = server.client(alice());
    client.slide(&server, list(9, 5, json!([]))).await;
    let mut waiting = Box::pin(client.try_slide(&server, list(9, 5, json!([])), 30_000));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    server.world.member(room, bob(), alice(), Membership::Invite).await;
    let answer = waiting.await.unwrap();
    let room_id = server.world.room_id(room).to_string();
    let invite = &answer["rooms"][&room_id];
    let shown: Vec<&str> = invite["invite_state"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert!(shown.contains(&"m.room.create") && shown.contains(&"m.room.member"));
    assert_eq!(invite.get("timeline"), None);
    assert_eq!(invite.get("joined_count"), None);

    server.world.member(room, alice(), alice(), Membership::Join).await;
    let answer = client.try_slide(&server, list(9, 5, json!([])), 30_000).await.unwrap();
    assert_eq!(answer["rooms"][&room_id]["initial"], true);
    assert_eq!(answer["rooms"][&room_id].get("invite_state"), None);
    let mut waiting = Box::pin(client.try_slide(&server, list(9, 5, json!([])), 30_000));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    server.world.say(room, bob(), "welcome").await;
    let answer = waiting.await.unwrap();
    assert_eq!(bodies(&answer["rooms"][&room_id]["timeline"]), ["welcome"]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_given_again_and_an_overtaken_request_gives_up() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    let mut client = server.client(alice());
    client.slide(&server, list(9, 5, json!([]))).await;
    let mut earlier = client.clone();
    server.world.say(room, alice(), "once").await;
    let lost = client.slide(&server, list(9, 5, json!([]))).await;
    let again = earlier.slide(&server, list(9, 5, json!([]))).await;
    assert_eq!(lost["rooms"][&room_id]["timeline"], again["rooms"][&room_id]["timeline"]);
    let gone = client.try_slide(&server, list(9, 5, json!([])), 0).await;
    assert!(matches!(gone, Err(SlidingError::UnknownPos(_))), "the client went on from the other answer");

    let mut first = earlier.clone();
    let mut waiting = Box::pin(first.try_slide(&server, list(9, 5, json!([])), 30_000));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let mut second = earlier.clone();
    second.slide(&server, list(9, 5, json!([]))).await;
    let overtaken = waiting.await.unwrap();
    assert_eq!(overtaken["pos"], earlier.pos.clone().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_longer_timeline_and_more_state_come_at_once() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    for n in 0..5 {
        server.world.say(room, alice(), &n.to_string()).await;
    }
    let mut client = server.client(alice());
    client.slide(&server, list(9, 1, json!([]))).await;
    let mut ask = list(9, 1, json!([]));
    ask["room_subscriptions"] =
        json!({ &room_id: { "timeline_limit": 3, "required_state": [["m.room.create", ""]] } });
    let answer = client.try_slide(&server, ask.clone(), 30_000).await.unwrap();
    let widened = &answer["rooms"][&room_id];
    assert_eq!(widened["unstable_expanded_timeline"], true);
    assert_eq!(widened.get("initial"), None);
    assert_eq!(bodies(&widened["timeline"]), ["2", "3", "4"]);
    assert_eq!(widened["num_live"], 0);
    assert_eq!(kinds(&widened["required_state"]), ["m.room.create/"]);
    let answer = client.slide(&server, ask).await;
    assert_eq!(answer["rooms"], json!({}), "nothing is sent twice");
}

#[tokio::test(start_paused = true)]
async fn members_load_lazily_and_changes_of_known_members_follow() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    server.world.member(room, bob(), bob(), Membership::Join).await;
    server.world.say(room, bob(), "hi").await;
    let ask = || list(9, 1, json!([["m.room.member", "$LAZY"]]));
    let mut client = server.client(alice());
    let answer = client.slide(&server, ask()).await;
    assert_eq!(kinds(&answer["rooms"][&room_id]["required_state"]), ["m.room.member/@bob:test"]);
    server.world.say(room, bob(), "again").await;
    let answer = client.slide(&server, ask()).await;
    assert_eq!(answer["rooms"][&room_id].get("required_state"), None);
    server.world.member(room, bob(), bob(), Membership::Join).await;
    for _ in 0..3 {
        server.world.say(room, alice(), "..").await;
    }
    let answer = client.slide(&server, ask()).await;
    let changed = kinds(&answer["rooms"][&room_id]["required_state"]);
    assert_eq!(changed, ["m.room.member/@alice:test", "m.room.member/@bob:test"]);
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_is_told_so_and_nothing_of_what_comes_after() {
    let server = Server::new();
    let room = server.world.room(bob(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    server.world.member(room, alice(), alice(), Membership::Join).await;
    let mut client = server.client(alice());
    client.slide(&server, list(9, 5, json!([["m.room.topic", ""]]))).await;
    server.world.say(room, bob(), "bye").await;
    server.world.member(room, alice(), alice(), Membership::Leave).await;
    server.world.say(room, bob(), "secret").await;
    server.world.send(Draft::state(room, bob(), "m.room.topic", "", json!({ "topic": "secret" }))).await;
    let answer = client.slide(&server, list(9, 5, json!([["m.room.topic", ""]]))).await;
    let left = &answer["rooms"][&room_id];
    assert_eq!(bodies(&left["timeline"]), ["bye", "m.room.member"]);
    assert_eq!(kinds(&left["required_state"]), ["m.room.member/@alice:test"]);
    assert_eq!(answer["lists"]["all"]["count"], 0);
    let fresh = server.client(alice()).slide(&server, list(9, 5, json!([]))).await;
    assert_eq!(fresh["rooms"], json!({}), "a new connection is not told of rooms left");

    let kicked = server.world.room(bob(), "shared").await;
    server.world.member(kicked, alice(), alice(), Membership::Join).await;
    server.world.member(kicked, bob(), alice(), Membership::Leave).await;
    let fresh = server.client(alice()).slide(&server, list(9, 5, json!([]))).await;
    assert_eq!(fresh["lists"]["all"]["count"], 1, "but of those it was kicked from");
}

#[tokio::test(start_paused = true)]
async fn an_unnamed_room_has_heroes_and_a_named_one_does_not() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    server.world.member(room, alice(), bob(), Membership::Invite).await;
    let direct = json!({ "@bob:test": [&room_id] });
    server.world.account_data(alice(), GLOBAL, "m.direct", direct).await;
    let mut client = server.client(alice());
    let answer = client.slide(&server, list(9, 1, json!([]))).await;
    assert_eq!(
        answer["rooms"][&room_id]["heroes"],
        json!([{ "user_id": "@bob:test", "displayname": "bob" }])
    );
    assert_eq!(answer["rooms"][&room_id]["is_dm"], true);
    assert_eq!(answer["rooms"][&room_id]["invited_count"], 1);
    let name = json!({ "name": "Us" });
    server.world.send(Draft::state(room, alice(), "m.room.name", "", name)).await;
    let answer = client.slide(&server, list(9, 1, json!([]))).await;
    assert_eq!(answer["rooms"][&room_id].get("heroes"), None);
    assert_eq!(answer["rooms"][&room_id]["name"], "Us");
    server.world.account_data(alice(), GLOBAL, "m.direct", json!({})).await;
    let answer = client.slide(&server, list(9, 1, json!([]))).await;
    assert_eq!(answer["rooms"][&room_id]["is_dm"], false);
}

#[tokio::test(start_paused = true)]
async fn extensions_tell_account_data_receipts_and_typing() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    server.world.member(room, bob(), bob(), Membership::Join).await;
    let event = server.world.say(room, bob(), "read me").await;
    server.world.receipt(bob(), "m.read", "", &event).await;
    server.world.receipt(bob(), "m.read.private", "main", &event).await;
    server.world.account_data(alice(), room, "m.tag", json!({ "tags": { "m.favourite": {} } })).await;
    server.typing.set(room, &[bob()]);
    let mut ask = list(9, 1, json!([]));
    let on = json!({ "enabled": true });
    ask["extensions"] = json!({ "account_data": on, "receipts": on, "typing": on, "unheard.of": { "x": 1 } });
    let mut client = server.client(alice());
    let answer = client.slide(&server, ask.clone()).await["extensions"].clone();
    assert_eq!(answer["account_data"]["rooms"][&room_id][0]["type"], "m.tag");
    let global = answer["account_data"]["global"].as_array().unwrap();
    assert!(global.iter().any(|event| event["type"] == "m.push_rules"), "those everyone starts with");
    let receipts = &answer["receipts"]["rooms"][&room_id];
    assert_eq!(receipts["type"], "m.receipt");
    let of_event = &receipts["content"][event.event_id.as_str()];
    assert_eq!(of_event["m.read"]["@bob:test"]["ts"], 1);
    assert_eq!(of_event.get("m.read.private"), None, "others' private receipts stay private");
    assert_eq!(answer["typing"]["rooms"][&room_id]["content"]["user_ids"], json!(["@bob:test"]));

    let mut waiting = Box::pin(client.try_slide(&server, list(9, 1, json!([])), 30_000));
    assert!(futures_util::poll!(&mut waiting).is_pending(), "nothing is told twice");
    server.typing.set(room, &[]);
    let answer = waiting.await.unwrap();
    let users = &answer["extensions"]["typing"]["rooms"][&room_id]["content"]["user_ids"];
    assert_eq!(*users, json!([]), "and what was switched on stays on");
    server.world.receipt(alice(), "m.read.private", "main", &event).await;
    server.world.account_data(alice(), GLOBAL, "org.example", json!({ "a": 1 })).await;
    let answer = client.slide(&server, ask).await["extensions"].clone();
    let of_event = &answer["receipts"]["rooms"][&room_id]["content"][event.event_id.as_str()];
    assert_eq!(of_event["m.read.private"]["@alice:test"]["thread_id"], "main");
    assert_eq!(answer["account_data"]["global"][0]["content"], json!({ "a": 1 }));
    assert_eq!(answer["typing"]["rooms"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn a_connection_outlives_the_process_without_a_gap() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    let mut client = server.client(alice());
    client.slide(&server, list(9, 5, json!([["m.room.name", ""]]))).await;
    client.slide(&server, list(9, 5, json!([["m.room.name", ""]]))).await;
    server.sync.flush(Flush::OnTheWay).await.unwrap();
    // One answer more, which is not written: its pos carries it.
    server.world.say(room, alice(), "before").await;
    client.slide(&server, list(9, 5, json!([["m.room.name", ""]]))).await;
    let server = server.restart().await;
    server.world.say(room, alice(), "after").await;
    let answer = client.slide(&server, list(9, 5, json!([["m.room.name", ""]]))).await;
    let shown = &answer["rooms"][&room_id];
    assert_eq!(shown.get("initial"), None);
    assert_eq!(bodies(&shown["timeline"]), ["after"], "no repetition, and no gap");

    let mut foreign = client.clone();
    foreign.pos = Some("5/s1_2_3".to_owned());
    let refused = foreign.try_slide(&server, list(9, 5, json!([])), 0).await;
    assert!(matches!(refused, Err(SlidingError::UnknownPos(_))));
    let mut thief = server.client(bob());
    thief.pos = client.pos.clone();
    let refused = thief.try_slide(&server, list(9, 5, json!([])), 0).await;
    assert!(matches!(refused, Err(SlidingError::UnknownPos(_))));
    let bad: Value = json!({ "lists": { "a": { "ranges": [[3, 1]], "timeline_limit": 1 } } });
    assert!(matches!(client.try_slide(&server, bad, 0).await, Err(SlidingError::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_came_back_once_is_known_after_a_kill() {
    let server = Server::new();
    let room = server.world.room(alice(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    let mut client = server.client(alice());
    client.slide(&server, list(9, 1, json!([]))).await;
    client.slide(&server, list(9, 1, json!([]))).await;
    let server = server.restart().await;
    server.world.say(room, alice(), "after").await;
    let answer = client.slide(&server, list(9, 1, json!([]))).await;
    assert_eq!(bodies(&answer["rooms"][&room_id]["timeline"]), ["after"]);
    assert_eq!(answer["rooms"][&room_id].get("initial"), None);
}

#[tokio::test(start_paused = true)]
async fn one_who_refuses_an_invite_learns_nothing_of_the_room() {
    let server = Server::new();
    let room = server.world.room(bob(), "shared").await;
    let room_id = server.world.room_id(room).to_string();
    server.world.send(Draft::state(room, bob(), "m.room.topic", "", json!({ "topic": "secret" }))).await;
    server.world.member(room, bob(), alice(), Membership::Invite).await;
    let (mut client, mut classic) = (server.client(alice()), server.client(alice()));
    client.slide(&server, list(9, 5, json!([["*", "*"]]))).await;
    classic.v3(&server).await;
    server.world.member(room, alice(), alice(), Membership::Leave).await;
    let answer = client.slide(&server, list(9, 5, json!([["*", "*"]]))).await;
    let own = ["m.room.member/@alice:test"];
    assert_eq!(kinds(&answer["rooms"][&room_id]["required_state"]), own);
    assert_eq!(kinds(&answer["rooms"][&room_id]["timeline"]), ["m.room.member/@alice:test"; 2]);
    let answer = classic.v3(&server).await;
    let left = &answer["rooms"]["leave"][&room_id];
    assert_eq!(kinds(&left["timeline"]["events"]), own);
    let state = left["state"]["events"].as_array().unwrap();
    assert!(state.iter().all(|event| event["state_key"] == alice().as_str()));
}
