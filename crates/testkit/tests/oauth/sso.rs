//! Clients of the legacy API that know of the pages (client-server API, "OAuth 2.0 aware clients").

use http::StatusCode;
use myelin_server::config::Config;
use myelin_testkit::{Browser, TestServer};
use serde_json::json;

use crate::world::{PASSWORD, form, heading};

const LOGIN: &str = "/_matrix/client/v3/login";
const REDIRECT: &str = "/_matrix/client/v3/login/sso/redirect";

fn redirect(pairs: &[(&str, &str)]) -> String {
    format!("{REDIRECT}?{}", form(pairs))
}

/// Opens the page that a redirect leads to.
async fn follow(browser: &mut Browser<'_>, path: &str) -> myelin_testkit::Page {
    let sent = browser.open(path).await;
    assert_eq!(sent.status, StatusCode::FOUND, "{}", sent.html);
    browser.open(sent.url.strip_prefix("https://hs").unwrap()).await
}

#[tokio::test]
async fn a_client_that_knows_only_the_older_login_gets_in_through_the_pages() {
    let server = TestServer::new(121).await;
    server.register("alice").await;
    let nobody = server.anonymous();
    let flows = nobody.get(LOGIN).await.ok();
    let flow = json!({
        "type": "m.login.sso", "oauth_aware_preferred": true,
        "org.matrix.msc3824.delegated_oidc_compatibility": true,
    });
    assert!(flows["flows"].as_array().unwrap().contains(&flow), "{flows}");

    let mut browser = Browser::new(&server);
    let path = redirect(&[("redirectUrl", "https://chat.example.org/?a=b#/home"), ("action", "login")]);
    let page = follow(&mut browser, &path).await;
    assert_eq!(heading(&page), "Sign in");
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(heading(&page), "Continue to <bdi>https://chat.example.org</bdi>?");
    let sent = browser.submit(&page, &[("decision", "approve")]).await;
    assert!(sent.url.starts_with("https://chat.example.org/?a=b&loginToken="), "{}", sent.url);
    assert!(sent.url.ends_with("#/home"));
    let token = sent.sent("loginToken").unwrap();
    let wish = json!({"type": "m.login.token", "token": token, "device_id": "WEB"});
    let told = nobody.post(LOGIN, wish.clone()).await.ok();
    assert_eq!((&told["user_id"], &told["device_id"]), (&json!("@alice:hs"), &json!("WEB")));
    assert_eq!(nobody.post(LOGIN, wish).await.errcode(), "M_FORBIDDEN", "once");
}

#[tokio::test]
async fn who_wants_an_account_or_says_no_is_not_sent_anywhere() {
    let server = TestServer::new(122).await;
    let mut browser = Browser::new(&server);
    for action in ["action", "org.matrix.msc3824.action"] {
        let path = redirect(&[("redirectUrl", "element://vector/webapp/"), (action, "register")]);
        assert_eq!(heading(&follow(&mut browser, &path).await), "Create an account", "{action}");
    }
    let path = redirect(&[("redirectUrl", "element://vector/webapp/"), ("action", "register")]);
    let page = follow(&mut browser, &path).await;
    let page = browser.submit(&page, &[("user_name", "bob"), ("password", PASSWORD)]).await;
    assert_eq!(heading(&page), "Continue to <bdi>element:</bdi>?");
    let page = browser.submit(&page, &[("decision", "deny")]).await;
    assert_eq!((page.status, heading(&page)), (StatusCode::OK, "Done"));
}

#[tokio::test]
async fn a_place_that_a_browser_would_run_is_refused() {
    let server = TestServer::new(123).await;
    let nobody = server.anonymous();
    assert_eq!(nobody.get(REDIRECT).await.errcode(), "M_MISSING_PARAM");
    for place in ["javascript:alert(1)", "data:text/html,x", "/relative", "https://a@b.example/"] {
        let answer = nobody.get(&redirect(&[("redirectUrl", place)])).await;
        assert_eq!(
            (answer.status, answer.errcode()),
            (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"),
            "{place}"
        );
        let page =
            Browser::new(&server).open(&format!("/oauth2/sso?{}", form(&[("redirect_url", place)]))).await;
        assert_eq!((page.status, page.location()), (StatusCode::BAD_REQUEST, None), "{place}");
    }
    assert_eq!(
        nobody.get(&format!("{REDIRECT}/google?redirectUrl=https://a.b")).await.errcode(),
        "M_NOT_FOUND"
    );
    let mut config = Config { server_name: "hs".to_owned(), ..Config::default() };
    config.oauth.enabled = false;
    let server = TestServer::with(124, config).await;
    let nobody = server.anonymous();
    assert!(!nobody.get(LOGIN).await.ok().to_string().contains("sso"));
    assert_eq!(nobody.get(&redirect(&[("redirectUrl", "https://a.b")])).await.errcode(), "M_UNRECOGNIZED");
}

#[tokio::test]
async fn each_way_of_the_legacy_api_is_switched_off_by_itself() {
    let server = TestServer::new(150).await;
    let alice = server.register("alice").await;
    let login = json!({"type": "m.login.password", "user": "alice", "password": PASSWORD});
    let register = json!({"username": "bob", "password": PASSWORD, "auth": {"type": "m.login.dummy"}});
    let kinds = async |server: &TestServer| {
        let flows = server.anonymous().get("/_matrix/client/v3/login").await.ok();
        let kinds = flows["flows"].as_array().unwrap().iter();
        kinds.map(|flow| flow["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&server).await, ["m.login.password", "m.login.token", "m.login.sso"]);
    let token = alice.token.clone();
    let server = server
        .reconfigure(|config| {
            config.legacy_login.password = false;
            config.legacy_login.registration = false;
        })
        .await;
    assert_eq!(kinds(&server).await, ["m.login.token", "m.login.sso"]);
    let refused = server.anonymous().post("/_matrix/client/v3/login", login.clone()).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::BAD_REQUEST, "M_UNKNOWN"));
    let refused = server.anonymous().post("/_matrix/client/v3/register", register).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    let server = server
        .reconfigure(|config| {
            config.legacy_login.password = true;
            config.legacy_login.token = false;
        })
        .await;
    assert_eq!(kinds(&server).await, ["m.login.password"]);
    server.anonymous().post("/_matrix/client/v3/login", login).await.done();
    let mut alice = server.anonymous();
    alice.token = token;
    let refused = alice.post("/_matrix/client/v1/login/get_token", json!({})).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::NOT_FOUND, "M_UNRECOGNIZED"));
    alice.get("/_matrix/client/v3/account/whoami").await.done();
}
