//! Rooms that are found: directory, summaries, spaces; and rooms that are entered by knocking or through another room.

#![expect(clippy::unwrap_used, reason = "an answer of another form fails the test")]

use http::StatusCode;
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const V1: &str = "/_matrix/client/v1";

fn refused(answer: &Answer, status: StatusCode, errcode: &str) {
    assert_eq!((answer.status, answer.errcode()), (status, errcode), "{}", answer.body);
}

async fn public(client: &Client<'_>, name: &str) -> String {
    client
        .create_room(json!({ "visibility": "public", "name": name, "topic": format!("About {name}") }))
        .await
}

async fn join(client: &Client<'_>, room: &str) -> Answer {
    client.post(&format!("{V3}/join/{room}"), json!({})).await
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|room| room["room_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_directory_is_searched_paged_and_led_by_the_largest_room() {
    let server = TestServer::new(1).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let tea = public(&alice, "Tea").await;
    let coffee = public(&alice, "Coffee").await;
    let _hidden = alice.create_room(json!({ "name": "Hidden", "preset": "public_chat" })).await;
    join(&bob, &coffee).await.done();
    let all = server.anonymous().get(&format!("{V3}/publicRooms")).await.ok();
    assert_eq!(ids(&all["chunk"]), [coffee.as_str(), &tea]);
    assert_eq!(all["chunk"][0]["num_joined_members"], 2);
    assert_eq!(all["chunk"][0]["join_rule"], "public");
    assert_eq!(all["total_room_count_estimate"], 2);
    let first = bob.get(&format!("{V3}/publicRooms?limit=1")).await.ok();
    let next = first["next_batch"].as_str().unwrap();
    let second = bob.get(&format!("{V3}/publicRooms?limit=1&since={next}")).await.ok();
    assert_eq!(ids(&second["chunk"]), [tea.as_str()]);
    assert!(second.get("next_batch").is_none(), "{second}");
    let back = second["prev_batch"].as_str().unwrap();
    let back = bob.get(&format!("{V3}/publicRooms?limit=1&since={back}")).await.ok();
    assert_eq!(ids(&back["chunk"]), [coffee.as_str()]);
    let search = json!({ "filter": { "generic_search_term": "ABOUT t" } });
    let found = bob.post(&format!("{V3}/publicRooms"), search).await.ok();
    assert_eq!(ids(&found["chunk"]), [tea.as_str()]);
    let spaces = json!({ "filter": { "room_types": ["m.space"] } });
    assert_eq!(bob.post(&format!("{V3}/publicRooms"), spaces).await.ok()["chunk"], json!([]));
    let bad = bob.get(&format!("{V3}/publicRooms?since=nonsense")).await;
    refused(&bad, StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
}

#[tokio::test]
async fn a_summary_shows_a_room_to_those_who_may_get_in_and_to_nobody_else() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let open = public(&alice, "Tea").await;
    let closed = alice.create_room(json!({ "name": "Closed" })).await;
    let summary = |room: &str| format!("{V1}/room_summary/{room}");
    let shown = server.anonymous().get(&summary(&open)).await.ok();
    assert_eq!((&shown["name"], &shown["room_version"]), (&json!("Tea"), &json!("12")));
    assert!(shown.get("membership").is_none());
    assert_eq!(bob.get(&summary(&open)).await.ok()["membership"], "leave");
    assert_eq!(alice.get(&summary(&closed)).await.ok()["membership"], "join");
    refused(&bob.get(&summary(&closed)).await, StatusCode::NOT_FOUND, "M_NOT_FOUND");
    alice.post(&format!("{V3}/rooms/{closed}/invite"), json!({ "user_id": bob.user_id })).await.done();
    assert_eq!(bob.get(&summary(&closed)).await.ok()["membership"], "invite");
}

fn allowing(room: &str) -> Value {
    json!([{
        "type": "m.room.join_rules",
        "state_key": "",
        "content": { "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": room }] },
    }])
}

#[tokio::test]
async fn members_of_a_space_enter_its_restricted_rooms_and_others_do_not() {
    let server = TestServer::new(3).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let space = alice
        .create_room(json!({ "preset": "public_chat", "creation_content": { "type": "m.space" } }))
        .await;
    for version in ["8", "11", "12"] {
        let wish = json!({ "room_version": version, "initial_state": allowing(&space) });
        let room = alice.create_room(wish).await;
        refused(&join(&bob, &room).await, StatusCode::FORBIDDEN, "M_FORBIDDEN");
        join(&bob, &space).await.done();
        join(&bob, &room).await.done();
        let member = format!("{V3}/rooms/{room}/state/m.room.member/{}", bob.user_id);
        let member = bob.get(&member).await.ok();
        assert_eq!(member["join_authorised_via_users_server"], alice.user_id.as_str(), "{version}");
        let renamed =
            json!({ "membership": "join", "displayname": "B", "join_authorised_via_users_server": "x" });
        let path = format!("{V3}/rooms/{room}/state/m.room.member/{}", bob.user_id);
        bob.put(&path, renamed).await.done();
        bob.post(&format!("{V3}/rooms/{space}/leave"), json!({})).await.done();
    }
}

#[tokio::test]
async fn who_knocks_is_let_in_by_an_invite() {
    let server = TestServer::new(4).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let rule = json!([{ "type": "m.room.join_rules", "state_key": "", "content": { "join_rule": "knock" } }]);
    let room = alice.create_room(json!({ "room_version": "7", "initial_state": rule })).await;
    refused(&join(&bob, &room).await, StatusCode::FORBIDDEN, "M_FORBIDDEN");
    let knock = bob.post(&format!("{V3}/knock/{room}"), json!({ "reason": "please" })).await.ok();
    assert_eq!(knock["room_id"], room.as_str());
    let sync = bob.get(&format!("{V3}/sync")).await.ok();
    assert!(sync["rooms"]["knock"][&room]["knock_state"]["events"].is_array(), "{sync}");
    alice.post(&format!("{V3}/rooms/{room}/invite"), json!({ "user_id": bob.user_id })).await.done();
    join(&bob, &room).await.done();
    let again = bob.post(&format!("{V3}/knock/{room}"), json!({})).await;
    refused(&again, StatusCode::FORBIDDEN, "M_FORBIDDEN");
    let closed = alice.create_room(json!({})).await;
    let refusal = bob.post(&format!("{V3}/knock/{closed}"), json!({})).await;
    refused(&refusal, StatusCode::FORBIDDEN, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_space_is_walked_depth_first_in_its_order_page_by_page() {
    let server = TestServer::new(5).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let wish = json!({ "preset": "public_chat", "creation_content": { "type": "m.space" } });
    let (space, below) = (alice.create_room(wish.clone()).await, alice.create_room(wish).await);
    let (first, deep) = (public(&alice, "First").await, public(&alice, "Deep").await);
    let secret = alice.create_room(json!({})).await;
    let child = async |parent: &str, child: &str, order: &str, suggested: bool| {
        let content = json!({ "via": ["hs"], "order": order, "suggested": suggested });
        alice.put(&format!("{V3}/rooms/{parent}/state/m.space.child/{child}"), content).await.done();
    };
    child(&space, &below, "b", false).await;
    child(&space, &first, "a", true).await;
    child(&space, &secret, "c", true).await;
    child(&below, &deep, "a", true).await;
    child(&below, &space, "b", true).await;
    let path = format!("{V1}/rooms/{space}/hierarchy");
    let tree = bob.get(&path).await.ok();
    assert_eq!(ids(&tree["rooms"]), [space.as_str(), &first, &below, &deep]);
    assert_eq!(tree["rooms"][0]["children_state"][0]["state_key"], first.as_str());
    assert_eq!(tree["rooms"][0]["children_state"].as_array().unwrap().len(), 3);
    assert!(tree.get("next_batch").is_none());
    let tree = alice.get(&format!("{path}?max_depth=1")).await.ok();
    assert_eq!(ids(&tree["rooms"]), [space.as_str(), &first, &below, &secret]);
    let tree = bob.get(&format!("{path}?suggested_only=true")).await.ok();
    assert_eq!(ids(&tree["rooms"]), [space.as_str(), &first]);
    let page = bob.get(&format!("{path}?limit=3")).await.ok();
    let next = page["next_batch"].as_str().unwrap();
    let rest = bob.get(&format!("{path}?limit=3&from={next}")).await.ok();
    assert_eq!(ids(&rest["rooms"]), [deep.as_str()]);
    let other = bob.get(&format!("{path}?limit=3&max_depth=2&from={next}")).await;
    refused(&other, StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
    let closed = bob.get(&format!("{V1}/rooms/{secret}/hierarchy")).await;
    refused(&closed, StatusCode::FORBIDDEN, "M_FORBIDDEN");
}

#[tokio::test]
async fn lists_show_the_plain_text_of_a_topic() {
    let server = TestServer::new(9).await;
    let alice = server.register("alice").await;
    let room = public(&alice, "Tea").await;
    let shown = async || {
        let summary = alice.get(&format!("{V1}/room_summary/{room}")).await.ok();
        let listed = alice.get(&format!("{V3}/publicRooms")).await.ok()["chunk"][0].take();
        assert_eq!(summary.get("topic"), listed.get("topic"));
        listed.get("topic").and_then(Value::as_str).map(str::to_owned)
    };
    let topic = async |content: Value| {
        alice.put(&format!("{V3}/rooms/{room}/state/m.room.topic"), content).await.done();
    };
    let rich = json!({ "mimetype": "text/html", "body": "<b>All</b> about tea" });
    topic(json!({ "topic": "fallback", "m.topic": { "m.text": [rich, { "body": "All about tea" }] } })).await;
    assert_eq!(shown().await.as_deref(), Some("All about tea"));
    topic(json!({ "topic": "fallback", "m.topic": { "m.text": [rich] } })).await;
    assert_eq!(shown().await.as_deref(), Some("fallback"));
    topic(json!({ "topic": "" })).await;
    assert_eq!(shown().await, None);
}
