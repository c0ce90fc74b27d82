//! The route table itself: every route has its three cases, or the test fails.
//!
//! For each route this sends a request without a token, one by the wrong user or with a wrong token, and one with
//! garbage for a body, and checks what must hold of all: the right errcode, and never a 5xx.

use http::{Method, StatusCode};
use myelin_api::{Access, Route, routes};
use myelin_testkit::{Client, TestServer};
use serde_json::json;

/// A path of the route with its parameters filled in so that they parse.
fn filled(path: &str) -> String {
    let values = [
        ("{room_id}", "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("{room_id_or_alias}", "!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("{room_alias}", "%23nowhere:hs"),
        ("{event_id}", "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("{user_id}", "@somebody:hs"),
        ("{event_type}", "m.room.message"),
        ("{txn_id}", "1"),
        ("{state_key}", "key"),
        ("{device_id}", "DEVICE"),
        ("{provider_id}", "example"),
    ];
    let mut path = path.to_owned();
    for (name, value) in values {
        path = path.replace(name, value);
    }
    while let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
        path.replace_range(start..=end, "1");
    }
    path
}

fn every_path() -> Vec<(Route, String)> {
    routes::table()
        .into_iter()
        .filter_map(|route| {
            let path = filled(route.paths().first()?);
            Some((route, path))
        })
        .collect()
}

fn has_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT)
}

#[tokio::test]
async fn without_a_token_a_route_for_users_answers_missing_token() {
    let server = TestServer::new(1).await;
    let nobody = server.anonymous();
    for (route, path) in every_path() {
        let answer = nobody.call(route.method().clone(), &path, Some(&json!({}))).await;
        match route.access() {
            Access::Public | Access::Optional => {
                assert_ne!(answer.errcode(), "M_MISSING_TOKEN", "{} {path}", route.method());
            }
            _ => {
                let got = (answer.status, answer.errcode());
                assert_eq!(got, (StatusCode::UNAUTHORIZED, "M_MISSING_TOKEN"), "{} {path}", route.method());
            }
        }
        assert!(answer.status.as_u16() < 500, "{} {path}: {}", route.method(), answer.status);
    }
}

#[tokio::test]
async fn with_an_unknown_token_a_route_that_reads_it_answers_unknown_token() {
    let server = TestServer::new(2).await;
    let mut stranger = server.anonymous();
    stranger.token = Some("not-a-token-of-this-server".to_owned());
    for (route, path) in every_path() {
        let answer = stranger.call(route.method().clone(), &path, Some(&json!({}))).await;
        if route.access() == Access::Public {
            continue;
        }
        let got = (answer.status, answer.errcode());
        assert_eq!(got, (StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN"), "{} {path}", route.method());
    }
}

#[tokio::test]
async fn the_wrong_user_gets_nothing_of_another_users() {
    let server = TestServer::new(3).await;
    let (alice, eve) = (server.register("alice").await, server.register("eve").await);
    let room = alice.create_room(json!({"name": "private"})).await;
    let event = alice.say(&room, "1", "secret").await;
    for (route, path) in every_path() {
        let template = route.paths().first().cloned().unwrap_or_default();
        if !template.contains("{room_id}")
            && !template.contains("{user_id}")
            && !template.contains("{event_id}")
        {
            continue;
        }
        let path = path
            .replace("!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &room)
            .replace("$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &event)
            .replace("@somebody:hs", &alice.user_id);
        let answer = eve.call(route.method().clone(), &path, Some(&json!({}))).await;
        assert!(answer.status.as_u16() < 500, "{} {path}: {} {}", route.method(), answer.status, answer.body);
        if may_ask_about_others(&template, route.method()) {
            continue;
        }
        assert!(
            answer.status.is_client_error(),
            "{} {path}: {} {}",
            route.method(),
            answer.status,
            answer.body
        );
        assert!(!answer.body.to_string().contains("secret"), "{} {path}", route.method());
    }
}

/// Routes whose answer about somebody else is public by the specification.
fn may_ask_about_others(template: &str, method: &Method) -> bool {
    let profile = template.contains("/profile/") && *method == Method::GET;
    let listing = template.contains("/directory/list/room/") && *method == Method::GET;
    profile || listing
}

#[tokio::test]
async fn garbage_for_a_body_gets_a_client_error_with_an_errcode() {
    let server = TestServer::new(4).await;
    let alice = server.register("alice").await;
    for (route, path) in every_path() {
        if !has_body(route.method()) || route.paths().iter().any(|path| path.contains("/upload")) {
            continue;
        }
        // A session that a route ends must not be the one the next route needs.
        let ends_session = path.contains("/logout");
        for (kind, body) in garbage() {
            let fresh: Client<'_>;
            let client = if ends_session {
                fresh = server.register(&format!("gone{}", rand_name(&path, kind))).await;
                &fresh
            } else {
                &alice
            };
            let answer = client.send(route.method().clone(), &path, "application/json", body).await;
            assert!(answer.status.as_u16() < 500, "{} {path} with {kind}: {}", route.method(), answer.status);
            // Depth in a field that nobody reads is nobody's concern; it must only not break the server.
            if !ends_session && !takes_no_body(&path) && kind != "deep JSON" {
                assert!(
                    answer.status.is_client_error(),
                    "{} {path} with {kind}: {}",
                    route.method(),
                    answer.status
                );
                // The first answer of interactive authentication has flows in place of an errcode.
                let says_why = answer.errcode().starts_with("M_") || answer.body.get("flows").is_some();
                assert!(says_why, "{} {path} with {kind}: {}", route.method(), answer.body);
            }
        }
    }
}

fn garbage() -> [(&'static str, Vec<u8>); 4] {
    let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    [
        ("no JSON", b"{\"a\":".to_vec()),
        ("bad UTF-8", vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']),
        ("an array", b"[]".to_vec()),
        ("deep JSON", deep.into_bytes()),
    ]
}

/// Endpoints that read no body, so that garbage in it is nobody's concern.
fn takes_no_body(path: &str) -> bool {
    path.ends_with("/forget")
}

fn rand_name(path: &str, kind: &str) -> usize {
    path.bytes().chain(kind.bytes()).map(usize::from).sum()
}
