//! Finding users, the rooms shared with them, proving who one is, and calls, over HTTP.

use std::time::Duration;

use http::{Method, StatusCode};
use myelin_server::config::{Config, Registration};
use myelin_testkit::{Answer, Client, TestServer};
use serde_json::{Value, json};

const V3: &str = "/_matrix/client/v3";
const USERINFO: &str = "/_matrix/federation/v1/openid/userinfo";

fn refused(answer: &Answer, status: StatusCode, errcode: &str) {
    assert_eq!((answer.status, answer.errcode()), (status, errcode), "{}", answer.body);
}

async fn search(by: &Client<'_>, text: &str) -> Value {
    by.post(&format!("{V3}/user_directory/search"), json!({ "search_term": text })).await.ok()
}

async fn join(user: &Client<'_>, room: &str) {
    let _ = user.post(&format!("{V3}/rooms/{room}/join"), json!({})).await.ok();
}

#[tokio::test]
async fn a_name_of_one_room_is_not_found_and_the_name_of_the_profile_is() {
    let server = TestServer::new(1).await;
    let (alice, bob, eve) =
        (server.register("alice").await, server.register("bob").await, server.register("eve").await);
    let name = format!("{V3}/profile/{}/displayname", alice.user_id);
    let _ = alice.put(&name, json!({ "displayname": "Alice Cooper" })).await.ok();
    assert_eq!(search(&eve, "Alice Cooper").await, json!({ "results": [], "limited": false }));
    alice.create_room(json!({ "visibility": "public" })).await;
    let private = bob.create_room(json!({ "visibility": "private", "invite": [alice.user_id] })).await;
    join(&alice, &private).await;
    let member = format!("{V3}/rooms/{private}/state/m.room.member/{}", alice.user_id);
    let _ = alice.put(&member, json!({ "membership": "join", "displayname": "Freddy" })).await.ok();
    let just_alice = json!({
        "results": [{ "user_id": alice.user_id, "display_name": "Alice Cooper" }], "limited": false,
    });
    for by in [&eve, &bob] {
        for text in ["Alice Cooper", "@alice", "alice", "coop"] {
            assert_eq!(search(by, text).await, just_alice, "{text}");
        }
    }
    assert_eq!(search(&eve, "Freddy").await["results"], json!([]));
    let path = format!("{V3}/user_directory/search");
    refused(&eve.post(&path, json!({})).await, StatusCode::BAD_REQUEST, "M_BAD_JSON");
    let long = json!({ "search_term": "x".repeat(1_000) });
    refused(&eve.post(&path, long).await, StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
}

#[tokio::test]
async fn shared_rooms_are_told_in_batches() {
    let server = TestServer::new(2).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let mut shared = Vec::new();
    for _ in 0..102 {
        let room = alice.create_room(json!({ "preset": "public_chat" })).await;
        join(&bob, &room).await;
        shared.push(room);
    }
    alice.create_room(json!({})).await;
    let path = format!("/_matrix/client/v1/mutual_rooms?user_id={}", bob.user_id);
    let first = alice.get(&path).await.ok();
    assert_eq!(first["count"], 102);
    let next = first["next_batch"].as_str().unwrap();
    let second = alice.get(&format!("{path}&from={next}")).await.ok();
    assert_eq!((second["count"].as_u64(), second.get("next_batch")), (Some(102), None));
    let rooms = |answer: &Value| answer["joined"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<Value> = rooms(&first);
    all.extend(rooms(&second));
    assert_eq!(json!(all), json!(shared));
    let unstable = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms";
    let old = alice.get(&format!("{unstable}?user_id={}&batch_token={next}", bob.user_id)).await.ok();
    assert_eq!(old["joined"], second["joined"]);

    let v1 = "/_matrix/client/v1/mutual_rooms";
    assert_eq!(
        alice.get(&format!("{v1}?user_id=@nobody:hs")).await.ok(),
        json!({ "joined": [], "count": 0 })
    );
    let own = alice.get(&format!("{v1}?user_id={}", alice.user_id)).await;
    refused(&own, StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
    refused(&alice.get(v1).await, StatusCode::BAD_REQUEST, "M_MISSING_PARAM");
    for query in
        ["user_id=nobody", "user_id=@SHOUT:hs", "user_id=@bob:hs&from=x", "user_id=@bob:hs&from=!x:hs"]
    {
        let answer = alice.get(&format!("{v1}?{query}")).await;
        refused(&answer, StatusCode::BAD_REQUEST, "M_INVALID_PARAM");
    }
}

async fn userinfo(server: &TestServer, token: &str) -> Answer {
    server.anonymous().get(&format!("{USERINFO}?access_token={token}")).await
}

#[tokio::test]
async fn an_openid_token_tells_who_one_is_for_an_hour_and_through_a_restart() {
    let server = TestServer::new(3).await;
    let (alice, eve) = (server.register("alice").await, server.register("eve").await);
    let path = format!("{V3}/user/{}/openid/request_token", alice.user_id);
    let made = alice.post(&path, json!({})).await.ok();
    assert_eq!(made["token_type"], "Bearer");
    assert_eq!((&made["matrix_server_name"], &made["expires_in"]), (&json!("hs"), &json!(3_600)));
    let token = made["access_token"].as_str().unwrap().to_owned();
    refused(&eve.post(&path, json!({})).await, StatusCode::FORBIDDEN, "M_FORBIDDEN");
    let mut thief = server.anonymous();
    thief.token = Some(token.clone());
    let whoami = thief.get(&format!("{V3}/account/whoami")).await;
    refused(&whoami, StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN");
    let session = alice.token.clone().unwrap();
    refused(&userinfo(&server, &session).await, StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN");
    for _ in 0..64 {
        let _ = alice.post(&path, json!({})).await.ok();
        server.clock.advance(Duration::from_millis(1));
    }
    refused(&userinfo(&server, &token).await, StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN");
    let token = alice.post(&path, json!({})).await.ok()["access_token"].as_str().unwrap().to_owned();
    let user_id = alice.user_id.clone();
    drop((alice, eve, thief));
    let server = server.restart().await;
    assert_eq!(userinfo(&server, &token).await.ok(), json!({ "sub": user_id }));
    refused(&userinfo(&server, "").await, StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN");
    refused(&server.anonymous().get(USERINFO).await, StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN");
    server.clock.advance(Duration::from_secs(3_601));
    refused(&userinfo(&server, &token).await, StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn turn_credentials_are_given_where_there_are_servers() {
    let path = format!("{V3}/voip/turnServer");
    let server = TestServer::new(4).await;
    assert_eq!(server.register("alice").await.get(&path).await.ok(), json!({}));
    let mut config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    config.turn.uris = vec!["turn:turn.hs?transport=udp".to_owned()];
    config.turn.shared_secret = Some("north".to_owned());
    config.turn.user_lifetime = 600;
    let server = TestServer::with(5, config).await;
    let answer = server.register("alice").await.get(&path).await.ok();
    assert_eq!((&answer["uris"][0], &answer["ttl"]), (&json!("turn:turn.hs?transport=udp"), &json!(600)));
    assert_eq!(answer["username"], "1767226200:@alice:hs");
    assert_eq!(answer["password"].as_str().unwrap().len(), 28);
}

#[tokio::test]
async fn deleted_account_data_are_told_once_and_gone() {
    let server = TestServer::new(6).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let own = format!("user/{}", alice.user_id);
    for place in [own.clone(), format!("{own}/rooms/{room}")] {
        for by_delete in [true, false] {
            let path = format!("{V3}/{place}/account_data/org.example.test");
            let _ = alice.put(&path, json!({ "test_data": 1 })).await.ok();
            let first = alice.get(&format!("{V3}/sync")).await.ok();
            assert!(first.to_string().contains("org.example.test"));
            let unstable = "/_matrix/client/unstable/org.matrix.msc3391";
            let gone = if by_delete {
                let path = format!("{unstable}/{place}/account_data/org.example.test");
                alice.call(Method::DELETE, &path, None).await
            } else {
                alice.put(&path, json!({})).await
            };
            assert_eq!(gone.ok(), json!({}));
            let since = first["next_batch"].as_str().unwrap();
            let next = alice.get(&format!("{V3}/sync?since={since}")).await.ok();
            let events = [&next["account_data"], &next["rooms"]["join"][&room]["account_data"]];
            let deleted = json!([{ "type": "org.example.test", "content": {} }]);
            assert!(events.iter().any(|part| part["events"] == deleted), "{next}");
            refused(&alice.get(&path).await, StatusCode::NOT_FOUND, "M_NOT_FOUND");
            let first = alice.get(&format!("{V3}/sync")).await.ok();
            assert!(!first.to_string().contains("org.example.test"));
        }
    }
    let eve = server.register("eve").await;
    let path = format!("/_matrix/client/unstable/org.matrix.msc3391/{own}/account_data/org.example.test");
    refused(&eve.call(Method::DELETE, &path, None).await, StatusCode::FORBIDDEN, "M_FORBIDDEN");
}
