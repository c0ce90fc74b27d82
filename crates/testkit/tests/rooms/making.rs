//! Rooms over HTTP: what clients see of making, writing, paging and redacting.

use http::StatusCode;
use myelin_testkit::TestServer;
use serde_json::json;

#[tokio::test]
async fn history_is_paged_both_ways_without_gap_or_repetition() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({"name": "Tea"})).await;
    let mut sent = Vec::new();
    for n in 0..25 {
        sent.push(alice.say(&room, &n.to_string(), &n.to_string()).await);
    }
    let mut walked = Vec::new();
    let mut from = String::new();
    loop {
        let path = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=7{from}");
        let page = alice.get(&path).await.ok();
        let chunk = page["chunk"].as_array().unwrap();
        walked.extend(chunk.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()));
        match page["end"].as_str() {
            Some(end) => from = format!("&from={end}"),
            None => break,
        }
    }
    let newest_first: Vec<String> = sent.iter().rev().cloned().collect();
    assert_eq!(walked[..25], newest_first);
    assert_eq!(walked.len(), 25 + 7, "with the room's seven first events");
    let context = format!("/_matrix/client/v3/rooms/{room}/context/{}?limit=4", sent[10]);
    let context = alice.get(&context).await.ok();
    assert_eq!(context["event"]["event_id"], sent[10].as_str());
    assert_eq!(context["events_before"][0]["event_id"], sent[9].as_str());
    assert_eq!(context["events_after"][0]["event_id"], sent[11].as_str());
    let onwards = format!(
        "/_matrix/client/v3/rooms/{room}/messages?dir=f&limit=100&from={}",
        context["end"].as_str().unwrap()
    );
    let onwards = alice.get(&onwards).await.ok();
    assert_eq!(onwards["chunk"][0]["event_id"], sent[13].as_str());
    assert_eq!(onwards["chunk"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn a_filtered_page_keeps_its_token_while_other_events_follow() {
    let server = TestServer::new(9).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    alice.say(&room, "1", "text").await;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/2");
    let _ = alice.put(&path, json!({"msgtype": "m.file", "body": "f", "url": "mxc://hs/f"})).await.ok();
    let filtered =
        format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&filter=%7B%22contains_url%22:true%7D");
    let page = alice.get(&filtered).await.ok();
    assert_eq!(page["chunk"].as_array().unwrap().len(), 1);
    let rest = format!("from={}", page["end"].as_str().unwrap());
    let last = alice.get(&format!("{filtered}&{rest}")).await.ok();
    assert_eq!((last["chunk"].as_array().unwrap().len(), last.get("end")), (0, None));
    let open = format!("/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=100&{rest}");
    assert_eq!(alice.get(&open).await.ok()["chunk"][0]["content"]["body"], "text");
}

#[tokio::test]
async fn a_stranger_reads_and_writes_nothing() {
    let server = TestServer::new(2).await;
    let (alice, eve) = (server.register("alice").await, server.register("eve").await);
    let room = alice.create_room(json!({})).await;
    let event = alice.say(&room, "1", "secret").await;
    for path in ["state", "members", "joined_members", "messages?dir=b", "aliases"] {
        let refused = eve.get(&format!("/_matrix/client/v3/rooms/{room}/{path}")).await;
        assert_eq!((refused.status, refused.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"), "{path}");
    }
    for path in [format!("event/{event}"), format!("context/{event}")] {
        let refused = eve.get(&format!("/_matrix/client/v3/rooms/{room}/{path}")).await;
        assert_eq!((refused.status, refused.errcode()), (StatusCode::NOT_FOUND, "M_NOT_FOUND"), "{path}");
    }
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    assert_eq!(eve.put(&path, json!({"body": "hi"})).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_repeated_transaction_answers_with_the_first_event_after_a_restart_too() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let first = alice.say(&room, "txn", "once").await;
    assert_eq!(alice.say(&room, "txn", "twice").await, first);
    let token = alice.token.clone();
    let server = server.restart().await;
    let mut alice = server.anonymous();
    alice.token = token;
    assert_eq!(alice.say(&room, "txn", "thrice").await, first);
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_and_the_room_goes_on() {
    let server = TestServer::new(4).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let refused = alice.put(&path, json!({"body": "x".repeat(70_000)})).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE"));
    let float = alice.put(&path, json!({"body": 1.5})).await;
    assert_eq!((float.status, float.errcode()), (StatusCode::BAD_REQUEST, "M_BAD_JSON"));
    alice.say(&room, "2", "fine").await;
}
