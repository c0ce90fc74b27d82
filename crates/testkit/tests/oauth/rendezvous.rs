//! Where two devices meet for a sign-in by QR code.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode, header};
use myelin_server::config::Config;
use myelin_testkit::TestServer;
use serde_json::{Value, json};

const TAGGED: &str = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous";
const SEQUENCED: &str = "/_matrix/client/unstable/io.element.msc4388/rendezvous";

struct Said {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Said {
    fn header(&self, name: header::HeaderName) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn ask(
    server: &TestServer,
    method: Method,
    path: &str,
    headers: &[(header::HeaderName, &str)],
    body: &str,
) -> Said {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = server.request(request.body(Body::from(body.to_owned())).unwrap()).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    Said { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

async fn open(server: &TestServer, data: &str) -> (String, Said) {
    let said = ask(server, Method::POST, TAGGED, &[(header::CONTENT_TYPE, "text/plain")], data).await;
    assert_eq!(said.status, StatusCode::CREATED, "{}", said.body);
    let url = said.json()["url"].as_str().unwrap().to_owned();
    (url.strip_prefix("https://hs").unwrap().to_owned(), said)
}

async fn write(server: &TestServer, place: &str, seen: &str, data: &str) -> Said {
    let headers = [(header::CONTENT_TYPE, "text/plain"), (header::IF_MATCH, seen)];
    ask(server, Method::PUT, place, &headers, data).await
}

#[tokio::test]
async fn two_devices_talk_by_what_they_saw_last() {
    let server = TestServer::new(501).await;
    let (place, opened) = open(&server, "").await;
    let first = opened.header(header::ETAG);
    assert_eq!(opened.header(header::CACHE_CONTROL), "no-store");
    assert!(
        opened.header(header::EXPIRES).ends_with("GMT")
            && opened.header(header::LAST_MODIFIED).ends_with("GMT")
    );

    let looked = ask(&server, Method::GET, &place, &[(header::IF_NONE_MATCH, &first)], "").await;
    assert_eq!((looked.status, looked.header(header::ETAG)), (StatusCode::NOT_MODIFIED, first.clone()));
    let wrote = write(&server, &place, &first, "from the phone").await;
    let second = wrote.header(header::ETAG);
    assert_eq!(wrote.status, StatusCode::ACCEPTED);
    assert_ne!(first, second);

    let late = write(&server, &place, &first, "from the laptop").await;
    assert_eq!((late.status, late.header(header::ETAG)), (StatusCode::PRECONDITION_FAILED, second.clone()));
    assert_eq!(late.json()["org.matrix.msc4108.errcode"], "M_CONCURRENT_WRITE");
    let looked = ask(&server, Method::GET, &place, &[(header::IF_NONE_MATCH, &first)], "").await;
    assert_eq!((looked.status, looked.body.as_str()), (StatusCode::OK, "from the phone"));
    assert_eq!(looked.header(header::CONTENT_TYPE), "text/plain");
    assert_eq!(write(&server, &place, &second, "from the laptop").await.status, StatusCode::ACCEPTED);

    let closed = ask(&server, Method::DELETE, &place, &[], "").await;
    assert_eq!(closed.status, StatusCode::NO_CONTENT);
    let looked = ask(&server, Method::GET, &place, &[], "").await;
    assert_eq!((looked.status, &looked.json()["errcode"]), (StatusCode::NOT_FOUND, &json!("M_NOT_FOUND")));
}

#[tokio::test]
async fn a_place_holds_four_kilobytes_of_text_for_five_minutes() {
    let server = TestServer::new(502).await;
    let most = "x".repeat(4096);
    let (place, opened) = open(&server, &most).await;
    let text = [(header::CONTENT_TYPE, "text/plain")];
    for kind in [&[][..], &[(header::CONTENT_TYPE, "application/json")]] {
        let refused = ask(&server, Method::POST, TAGGED, kind, "x").await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.body);
    }
    let more = format!("{most}x");
    let refused = ask(&server, Method::POST, TAGGED, &text, &more).await;
    assert_eq!(
        (refused.status, &refused.json()["errcode"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("M_TOO_LARGE"))
    );
    let tag = opened.header(header::ETAG);
    assert_eq!(write(&server, &place, &tag, &more).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    for tag in ["*", "W/\"x\"", "x", "\"a\", \"b\""] {
        assert_eq!(write(&server, &place, tag, "x").await.status, StatusCode::BAD_REQUEST, "{tag}");
    }
    assert_eq!(ask(&server, Method::PUT, &place, &text, "x").await.status, StatusCode::BAD_REQUEST);
    server.clock.advance(Duration::from_secs(299));
    assert_eq!(ask(&server, Method::GET, &place, &[], "").await.body, most);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&server, Method::GET, &place, &[], "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(write(&server, &place, &tag, "x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn in_the_coming_form_a_lost_answer_is_given_again_and_another_write_is_not_lost() {
    let server = TestServer::new(503).await;
    let nobody = server.anonymous();
    assert_eq!(nobody.get(SEQUENCED).await.ok()["create_available"], true);
    let opened = nobody.post(SEQUENCED, json!({"data": "hello"})).await.ok();
    assert_eq!(opened["expires_in_ms"], 300_000);
    let place = format!("{SEQUENCED}/{}", opened["id"].as_str().unwrap());
    server.clock.advance(Duration::from_secs(1));
    let looked = nobody.get(&place).await.ok();
    assert_eq!((&looked["data"], &looked["expires_in_ms"]), (&json!("hello"), &json!(299_000)));
    assert_eq!(looked["sequence_token"], opened["sequence_token"]);

    let writing = json!({"sequence_token": opened["sequence_token"], "data": "hi"});
    let wrote = nobody.put(&place, writing.clone()).await.ok();
    assert_eq!(nobody.put(&place, writing).await.ok(), wrote, "the answer was lost, the write was not");
    let other = json!({"sequence_token": opened["sequence_token"], "data": "ho"});
    let late = nobody.put(&place, other).await;
    assert_eq!((late.status, late.errcode()), (StatusCode::CONFLICT, "IO_ELEMENT_MSC4388_CONCURRENT_WRITE"));
    let long = json!({"sequence_token": wrote["sequence_token"], "data": "x".repeat(4097)});
    assert_eq!(nobody.put(&place, long).await.errcode(), "M_TOO_LARGE");
    assert_eq!(nobody.get(&place).await.ok()["data"], "hi");

    nobody.call(Method::DELETE, &place, None).await.done();
    assert_eq!(nobody.get(&place).await.errcode(), "M_NOT_FOUND");
    assert_eq!(nobody.call(Method::DELETE, &place, None).await.errcode(), "M_NOT_FOUND");
}

#[tokio::test]
async fn no_browser_shows_what_a_stranger_wrote_as_a_page() {
    let server = TestServer::new(504).await;
    let (place, _) = open(&server, "<script>").await;
    let visit = [(header::HeaderName::from_static("sec-fetch-mode"), "navigate")];
    assert_eq!(ask(&server, Method::GET, &place, &visit, "").await.status, StatusCode::FORBIDDEN);
    let looked = ask(&server, Method::GET, &place, &[], "").await;
    assert_eq!(looked.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
}

#[tokio::test]
async fn one_address_opens_so_many_places_and_no_more() {
    let server = TestServer::new(505).await;
    let nobody = server.anonymous();
    let mut opened = 0;
    while opened < 1_000 && nobody.post(SEQUENCED, json!({"data": ""})).await.status == StatusCode::OK {
        opened += 1;
    }
    assert!((1..=64).contains(&opened), "{opened}");
    let refused = nobody.post(SEQUENCED, json!({"data": ""})).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED"));
}

#[tokio::test]
async fn where_oauth_is_switched_off_nobody_meets() {
    let mut config = Config::default();
    config.oauth.enabled = false;
    let server = TestServer::with(506, config).await;
    let nobody = server.anonymous();
    assert_eq!(nobody.get(SEQUENCED).await.errcode(), "M_UNRECOGNIZED");
    let features = nobody.get("/_matrix/client/versions").await.ok()["unstable_features"].clone();
    assert_eq!(
        (&features["org.matrix.msc4108"], &features["io.element.msc4388"]),
        (&json!(false), &json!(false))
    );
}
