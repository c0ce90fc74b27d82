use std::time::Duration;

use http::StatusCode;
use myelin_testkit::{Answer, Browser, TestServer};
use serde_json::{Value, json};

use crate::world::{App, PASSWORD, WHOAMI, error, heading, post, scope};

async fn begin(app: &App<'_>) -> Value {
    let scope = scope("TV");
    post(app.server, "/oauth2/device", &[("client_id", &app.client_id), ("scope", &scope)]).await.ok()
}

async fn poll(app: &App<'_>, waiting: &Value) -> Answer {
    let pairs = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("device_code", waiting["device_code"].as_str().unwrap()),
        ("client_id", &app.client_id),
    ];
    post(app.server, "/oauth2/token", &pairs).await
}

#[tokio::test]
async fn a_device_without_a_browser_is_let_in_from_another_one() {
    let server = TestServer::new(81).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let waiting = begin(&app).await;
    assert_eq!((&waiting["expires_in"], &waiting["interval"]), (&json!(1800), &json!(5)));
    assert_eq!(waiting["verification_uri"], "https://hs/link");
    assert_eq!(error(&poll(&app, &waiting).await), (400, "authorization_pending"));
    assert_eq!(error(&poll(&app, &waiting).await), (400, "slow_down"));

    let code = waiting["user_code"].as_str().unwrap();
    let complete = waiting["verification_uri_complete"].as_str().unwrap();
    let mut browser = Browser::new(&server);
    let page = browser.open(complete.strip_prefix("https://hs").unwrap()).await;
    assert_eq!(heading(&page), "Sign in");
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(heading(&page), "Connect a device");
    assert!(page.html.contains(&format!("value=\"{code}\"")), "it need not be typed: {}", page.html);
    let page = browser.submit(&page, &[("user_code", &code.to_lowercase().replace('-', " "))]).await;
    assert_eq!(heading(&page), "Connect <bdi>Example &lt;App&gt;</bdi>?");
    assert!(page.html.contains("TV") && page.html.contains(code), "{}", page.html);
    let page = browser.submit(&page, &[("decision", "approve")]).await;
    assert_eq!((page.status, heading(&page)), (StatusCode::OK, "Done"));

    server.clock.advance(Duration::from_secs(10));
    let lost = poll(&app, &waiting).await.ok();
    let tokens = poll(&app, &waiting).await.ok();
    assert_ne!(lost["access_token"], tokens["access_token"]);
    let who = app.with(&tokens, WHOAMI).await.ok();
    assert_eq!((&who["user_id"], &who["device_id"]), (&json!("@alice:hs"), &json!("TV")));
    assert!(app.works(&app.refresh(&tokens).await.ok()).await);
    let page = browser.open("/link").await;
    let page = browser.submit(&page, &[("user_code", code)]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "a code is good once");
}

#[tokio::test]
async fn a_device_that_is_denied_or_forgotten_gets_nothing() {
    let server = TestServer::new(82).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let (denied, late) = (begin(&app).await, begin(&app).await);
    let mut browser = Browser::new(&server);
    let page = browser.open("/link").await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    let page = browser.submit(&page, &[("user_code", denied["user_code"].as_str().unwrap())]).await;
    let page = browser.submit(&page, &[("decision", "deny")]).await;
    assert!(page.html.contains("was not connected"), "{}", page.html);
    assert_eq!(error(&poll(&app, &denied).await), (400, "access_denied"));
    let page = browser.open("/link").await;
    for typed in ["", "nonsense", "BBBB-BBBB", "<script>"] {
        let page = browser.submit(&page, &[("user_code", typed)]).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{typed}");
        assert!(!page.html.contains("<script>"));
    }
    server.clock.advance(Duration::from_secs(1800));
    assert_eq!(error(&poll(&app, &late).await), (400, "expired_token"));
}
