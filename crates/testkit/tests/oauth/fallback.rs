//! Stages of interactive authentication on pages, for clients that don't know them (client-server API, "Fallback").

use std::net::{IpAddr, Ipv4Addr};

use axum::body::{Body, to_bytes};
use http::{Method, Request, Response, StatusCode, header};
use myelin_api::ClientAddress;
use myelin_server::admin::Command;
use myelin_server::config::{Config, Registration};
use myelin_testkit::{Answer, Browser, Page, TestServer};
use serde_json::{Value, json};

use crate::terms::terms;
use crate::world::{PASSWORD, heading};

const REGISTER: &str = "/_matrix/client/v3/register";

fn page_of(stage: &str, session: &str) -> String {
    format!("/_matrix/client/v3/auth/{stage}/fallback/web?session={session}")
}

async fn started(seed: u64, change: impl FnOnce(&mut Config)) -> TestServer {
    let mut config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    config.limits.enabled = false;
    change(&mut config);
    TestServer::with(seed, config).await
}

/// What a client sends that knows its session alone.
fn with_session(session: &str) -> Value {
    json!({"username": "alice", "password": PASSWORD, "auth": {"session": session}})
}

async fn begun(server: &TestServer) -> String {
    let asked = server.anonymous().post(REGISTER, json!({"username": "alice", "password": PASSWORD})).await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED, "{}", asked.body);
    asked.body["session"].as_str().unwrap().to_owned()
}

fn tells_the_client(page: &Page) {
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains(" script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    for words in ["window.onAuthDone()", "window.opener.postMessage(\"authDone\", \"*\")"] {
        assert!(page.html.contains(words), "{}", page.html);
    }
}

#[tokio::test]
async fn a_token_and_the_terms_are_shown_on_pages_in_their_order_and_the_client_is_told() {
    let server = started(170, |config| {
        config.registration = Registration::Token;
        config.terms = terms("1");
    })
    .await;
    let add = Command::TokenAdd { token: Some("let-me-in".to_owned()), uses: None, lifetime: None };
    let _ = server.operate(add).await;
    let session = begun(&server).await;
    let mut browser = Browser::new(&server);
    browser.languages = "de".to_owned();
    let early = browser.open(&page_of("m.login.terms", &session)).await;
    assert_eq!(early.status, StatusCode::BAD_REQUEST, "it is not the next one");
    let page = browser.open(&page_of("m.login.registration_token", &session)).await;
    assert!(
        page.html.contains("<html lang=\"de\">") && page.html.contains("Einladungscode"),
        "{}",
        page.html
    );
    assert!(!page.html.contains("<script"), "nothing to tell yet");
    let wrong = browser.submit(&page, &[("token", "guessed")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.html.contains("role=\"alert\""), "{}", wrong.html);
    let done = browser.submit(&wrong, &[("token", " let-me-in ")]).await;
    tells_the_client(&done);

    let halfway = server.anonymous().post(REGISTER, with_session(&session)).await;
    assert_eq!(halfway.body["completed"], json!(["m.login.registration_token"]), "{}", halfway.body);
    let page = browser.open(&page_of("m.login.terms", &session)).await;
    assert!(page.html.contains("href=\"https://hs.example/datenschutz\""), "{}", page.html);
    tells_the_client(&browser.submit(&page, &[]).await);
    tells_the_client(&browser.open(&page_of("m.login.terms", &session)).await);
    let made = server.anonymous().post(REGISTER, with_session(&session)).await.ok();
    assert_eq!(made["user_id"], "@alice:hs");
    for gone in [&session, "nobody's", ""] {
        let page = browser.open(&page_of("m.login.terms", gone)).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{gone}");
    }
}

#[tokio::test]
async fn without_the_other_pages_these_are_there_and_those_that_lead_to_them_are_not() {
    let server = started(171, |config| config.oauth.enabled = false).await;
    let session = begun(&server).await;
    let mut browser = Browser::new(&server);
    let page = browser.open(&page_of("m.login.dummy", &session)).await;
    assert_eq!(heading(&page), "Your app asks");
    tells_the_client(&browser.submit(&page, &[]).await);
    server.anonymous().post(REGISTER, with_session(&session)).await.done();
    for stage in ["m.login.sso", "m.oauth", "m.login.recaptcha", "nonsense"] {
        let answer = server.anonymous().get(&page_of(stage, &session)).await;
        assert_eq!((answer.status, answer.errcode()), (StatusCode::NOT_FOUND, "M_UNRECOGNIZED"), "{stage}");
    }
}

#[tokio::test]
async fn a_password_is_that_of_who_asks_and_guesses_are_counted() {
    let server = started(172, |config| config.limits.enabled = true).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    assert_ne!(alice.user_id, bob.user_id);
    let delete = async |auth: Value| -> Answer {
        alice.call(Method::DELETE, "/_matrix/client/v3/devices/OTHER", Some(&json!({ "auth": auth }))).await
    };
    let session = delete(Value::Null).await.body["session"].as_str().unwrap().to_owned();
    let mut browser = Browser::new(&server);
    let page = browser.open(&page_of("m.login.password", &session)).await;
    assert!(page.html.contains("@alice:hs"), "{}", page.html);
    let mut page = page;
    for _ in 0..3 {
        page = browser.submit(&page, &[("password", "guessed"), ("user_name", "@bob:hs")]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.html);
    }
    tells_the_client(&browser.submit(&page, &[("password", PASSWORD)]).await);
    delete(json!({ "session": session })).await.done();

    let session = delete(Value::Null).await.body["session"].as_str().unwrap().to_owned();
    let mut page = browser.open(&page_of("m.login.password", &session)).await;
    for _ in 0..12 {
        page = browser.submit(&page, &[("password", "guessed")]).await;
    }
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{}", page.html);
}

/// An answer to one who posts to a stage from one address, where `accept` is what they want to read.
async fn posted(server: &TestServer, accept: &str) -> Response<Body> {
    let request = Request::post(page_of("m.login.dummy", "none")).header(header::ACCEPT, accept);
    let mut request = request.body(Body::from("session=none")).unwrap();
    request.extensions_mut().insert(ClientAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    server.request(request).await
}

#[tokio::test]
async fn people_read_a_page_where_programs_read_an_errcode() {
    let server = started(173, |config| config.limits.enabled = true).await;
    let page = Browser::new(&server).open(&page_of("m.login.recaptcha", "none")).await;
    assert_eq!((page.status, heading(&page)), (StatusCode::NOT_FOUND, "This did not work"), "{}", page.html);
    let mut allowed = 0;
    while posted(&server, "text/html").await.status() != StatusCode::TOO_MANY_REQUESTS {
        allowed += 1;
        assert!(allowed < 100);
    }
    for (accept, kind, words) in [
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8", "Too many attempts."),
        ("application/json", "application/json", "M_LIMIT_EXCEEDED"),
        ("*/*", "application/json", "M_LIMIT_EXCEEDED"),
    ] {
        let answer = posted(&server, accept).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "{accept}");
        assert!(answer.headers().contains_key(header::RETRY_AFTER), "{accept}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], kind, "{accept}");
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains(words), "{accept}");
    }
}
