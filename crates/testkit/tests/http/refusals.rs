//! Requests that were once answered wrongly. Found by garbage; each is kept by its name.

use http::{Method, StatusCode};
use myelin_testkit::{Answer, TestServer};
use serde_json::json;

fn said(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.errcode())
}

#[tokio::test]
async fn two_objects_in_a_body_are_no_state_event() {
    let server = TestServer::new(1).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/_matrix/client/v3/rooms/{room}/state/org.example/");
    let answer = alice.send(Method::PUT, &path, "application/json", b"{\"a\":1}{\"b\":2}".to_vec()).await;
    assert_eq!(said(&answer), (400, "M_NOT_JSON"));
    assert_eq!(alice.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_path_or_query_that_makes_no_sense_is_an_invalid_param_and_not_bad_json() {
    let server = TestServer::new(2).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    for path in [
        "/_matrix/client/v3/rooms/nowhere/members".to_owned(),
        "/_matrix/client/v3/directory/list/room/nowhere".to_owned(),
        format!("/_matrix/client/v3/rooms/{room}/context/$event?limit=many"),
        format!("/_matrix/client/v1/rooms/{room}/hierarchy?max_depth=-1"),
        format!("/_matrix/client/v3/rooms/{room}/messages?filter=words"),
        "/_matrix/client/v3/sync?filter=%7B".to_owned(),
    ] {
        assert_eq!(said(&alice.get(&path).await), (400, "M_INVALID_PARAM"), "{path}");
    }
    let missing = alice.get(&format!("/_matrix/client/v1/rooms/{room}/timestamp_to_event?dir=f")).await;
    assert_eq!(said(&missing), (400, "M_MISSING_PARAM"));
}

#[tokio::test]
async fn a_type_or_state_key_of_too_many_bytes_is_too_large_and_not_bad_json() {
    let server = TestServer::new(3).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let long = "x".repeat(256);
    for path in [format!("send/{long}/1"), format!("state/{long}"), format!("state/org.example/{long}")] {
        let answer = alice.put(&format!("/_matrix/client/v3/rooms/{room}/{path}"), json!({})).await;
        assert_eq!(said(&answer), (413, "M_TOO_LARGE"), "{path}");
    }
}

#[tokio::test]
async fn an_array_is_not_read_as_an_object_without_fields() {
    let server = TestServer::new(4).await;
    let alice = server.register("alice").await;
    let sync = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    for body in [json!({"extensions": []}), json!({"extensions": {"e2ee": [true]}})] {
        assert_eq!(said(&alice.post(sync, body.clone()).await), (400, "M_BAD_JSON"), "{body}");
    }
    let search = json!({"search_categories": {"room_events": {"search_term": "x", "groupings": []}}});
    assert_eq!(said(&alice.post("/_matrix/client/v3/search", search).await), (400, "M_BAD_JSON"));
}

#[tokio::test]
async fn a_tag_whose_order_is_no_number_is_refused_and_one_in_words_of_digits_is_kept() {
    let server = TestServer::new(5).await;
    let alice = server.register("alice").await;
    let room = alice.create_room(json!({})).await;
    let tags = format!("/_matrix/client/v3/user/{}/rooms/{room}/tags", alice.user_id);
    for order in [json!(true), json!("first"), json!([1]), json!({})] {
        let answer = alice.put(&format!("{tags}/m.favourite"), json!({"order": order})).await;
        assert_eq!(said(&answer), (400, "M_BAD_JSON"), "{order}");
    }
    assert_eq!(alice.get(&tags).await.ok(), json!({"tags": {}}));
    for info in [json!({}), json!({"order": null}), json!({"order": 0.5}), json!({"order": "0.25", "a": []})]
    {
        alice.put(&format!("{tags}/m.favourite"), info.clone()).await.done();
        assert_eq!(alice.get(&tags).await.ok(), json!({"tags": {"m.favourite": info}}));
    }
}

#[tokio::test]
async fn deep_json_is_refused_even_in_a_field_that_nobody_reads() {
    let server = TestServer::new(6).await;
    let alice = server.register("alice").await;
    let deep = format!("{{\"unknown\":{}{}}}", "[".repeat(100), "]".repeat(100));
    for path in ["/_matrix/client/v3/createRoom", "/_matrix/client/v3/keys/upload"] {
        let answer = alice.send(Method::POST, path, "application/json", deep.clone().into_bytes()).await;
        assert_eq!(said(&answer), (400, "M_BAD_JSON"), "{path}");
    }
}
