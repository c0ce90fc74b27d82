//! The account's pages, to which clients lead people.

use std::time::Duration;

use http::StatusCode;
use myelin_testkit::{Answer, Browser, Client, TestServer};
use serde_json::{Value, json};

use crate::world::{App, PASSWORD, WHOAMI, heading};

const UPLOAD: &str = "/_matrix/client/v3/keys/device_signing/upload";

async fn signed_in<'s>(server: &'s TestServer, next: &str) -> (Browser<'s>, myelin_testkit::Page) {
    let mut browser = Browser::new(server);
    let page = browser.open(next).await;
    assert_eq!(heading(&page), "Sign in");
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    (browser, page)
}

#[tokio::test]
async fn every_action_that_is_told_leads_to_its_page() {
    let server = TestServer::new(111).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    app.login(&mut Browser::new(&server), "PHONE").await;
    let metadata = server.anonymous().get("/_matrix/client/v1/auth_metadata").await.ok();
    assert_eq!(metadata["account_management_uri"], "https://hs/account");
    let (mut browser, _) = signed_in(&server, "/account").await;
    for action in metadata["account_management_actions_supported"].as_array().unwrap() {
        let action = action.as_str().unwrap();
        let page = browser.open(&format!("/account?action={action}&device_id=PHONE")).await;
        let expected = match action.strip_prefix("org.matrix.").unwrap() {
            "devices_list" | "sessions_list" => "Your account",
            "device_view" | "session_view" => "<bdi>Example &lt;App&gt;</bdi>",
            "device_delete" | "session_end" => "Sign out <bdi>Example &lt;App&gt;</bdi>?",
            "account_deactivate" => "Deactivate your account?",
            "cross_signing_reset" => "Reset your digital identity?",
            other => panic!("{other}"),
        };
        assert_eq!((page.status, heading(&page)), (StatusCode::OK, expected), "{action}");
    }
}

#[tokio::test]
async fn a_device_is_ended_from_the_page_with_its_grant_and_nobody_else_s_is() {
    let server = TestServer::new(112).await;
    server.register("alice").await;
    let bob = server.register("bob").await;
    let app = App::register(&server).await;
    let tokens = app.login(&mut Browser::new(&server), "PHONE").await;
    app.with(&tokens, WHOAMI).await.done();
    let (mut browser, page) =
        signed_in(&server, "/account?action=org.matrix.device_delete&device_id=PHONE").await;
    assert!(heading(&page).starts_with("Sign out"), "{}", page.html);
    let page = browser.submit(&page, &[]).await;
    assert!(page.html.contains("The device is signed out"), "{}", page.html);
    assert!(!app.works(&tokens).await);
    let list = browser.open("/account").await;
    assert!(!list.html.contains("PHONE"));
    let other = browser.open(&format!("/account?action=device_delete&device_id={}", bob.device_id)).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    bob.get(WHOAMI).await.done();
}

#[tokio::test]
async fn who_signed_in_long_ago_does_so_again_before_what_can_t_be_undone() {
    let server = TestServer::new(113).await;
    server.register("alice").await;
    let (mut browser, _) = signed_in(&server, "/account").await;
    let reset = browser.open("/account?action=org.matrix.cross_signing_reset").await;
    server.clock.advance(Duration::from_secs(11 * 60));
    assert_eq!(heading(&browser.open("/account").await), "Your account");
    for action in ["org.matrix.cross_signing_reset", "org.matrix.account_deactivate"] {
        let page = browser.open(&format!("/account?action={action}")).await;
        assert_eq!(heading(&page), "Sign in", "{action}");
        assert!(page.html.contains("value=\"@alice:hs\""));
    }
    let late = browser.submit(&reset, &[]).await;
    assert_eq!(heading(&late), "Sign in", "the form was shown in time, and sent too late");
    let page = browser.submit(&late, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(heading(&page), "Reset your digital identity?");
}

/// Public keys; the first three are of RFC 8032, section 7.1.
const KEYS: [&str; 4] = [
    "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw",
    "/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU",
    "wjLpTLRqbqBzLs63aYaEv2Boi6cFEbbM/sSRQ2oAKk4",
];

fn keys(client: &Client<'_>, number: usize, auth: Option<Value>) -> Value {
    let key = KEYS[number];
    let mut body = json!({"master_key": {
        "user_id": client.user_id, "usage": ["master"], "keys": {format!("ed25519:{key}"): key},
    }});
    if let Some(auth) = auth {
        body["auth"] = auth;
    }
    body
}

fn flows(answer: &Answer) -> &Value {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
    &answer.body["flows"]
}

#[tokio::test]
async fn cross_signing_keys_are_replaced_once_when_their_owner_allows_it_on_the_page() {
    let server = TestServer::new(114).await;
    let legacy = server.register("alice").await;
    let app = App::register(&server).await;
    let tokens = app.login(&mut Browser::new(&server), "PHONE").await;
    let mut phone = server.anonymous();
    phone.token = tokens["access_token"].as_str().map(str::to_owned);
    phone.user_id.clone_from(&legacy.user_id);
    phone.post(UPLOAD, keys(&phone, 0, None)).await.done();

    let asked = phone.post(UPLOAD, keys(&phone, 1, None)).await;
    let expected = json!([{"stages": ["m.oauth"]}, {"stages": ["org.matrix.cross_signing_reset"]}]);
    assert_eq!(*flows(&asked), expected);
    let url = asked.body["params"]["m.oauth"]["url"].as_str().unwrap().to_owned();
    assert_eq!(url, "https://hs/account?action=org.matrix.cross_signing_reset");
    let session = asked.body["session"].clone();
    let password =
        json!({"type": "m.login.password", "user": "alice", "password": PASSWORD, "session": session});
    for auth in [json!({"session": session}), json!({"type": "m.oauth", "session": session}), password] {
        let early = phone.post(UPLOAD, keys(&phone, 1, Some(auth))).await;
        assert_eq!(*flows(&early), expected, "nobody has approved");
    }

    let (mut browser, page) = signed_in(&server, url.strip_prefix("https://hs").unwrap()).await;
    let page = browser.submit(&page, &[]).await;
    assert!(page.html.contains("within the next ten minutes"), "{}", page.html);
    let of_legacy = legacy.post(UPLOAD, keys(&phone, 1, None)).await;
    assert_eq!(*flows(&of_legacy), json!([{"stages": ["m.login.password"]}]), "it was not asked for there");
    phone.post(UPLOAD, keys(&phone, 1, Some(json!({"session": session})))).await.done();
    phone.post(UPLOAD, keys(&phone, 1, None)).await.done();
    assert_eq!(*flows(&phone.post(UPLOAD, keys(&phone, 2, None)).await), expected, "once");

    // Some clients ask again without naming the session.
    let page = browser.open("/account?action=cross_signing_reset").await;
    browser.submit(&page, &[]).await;
    phone.post(UPLOAD, keys(&phone, 2, None)).await.done();
    let page = browser.open("/account?action=cross_signing_reset").await;
    browser.submit(&page, &[]).await;
    server.clock.advance(Duration::from_secs(600));
    assert_eq!(*flows(&phone.post(UPLOAD, keys(&phone, 3, None)).await), expected, "soon");
}

#[tokio::test]
async fn an_account_is_deactivated_from_the_page_and_its_user_is_out_at_once() {
    let server = TestServer::new(115).await;
    let alice = server.register("alice").await;
    let app = App::register(&server).await;
    let tokens = app.login(&mut Browser::new(&server), "PHONE").await;
    let (mut browser, page) = signed_in(&server, "/account?action=org.matrix.account_deactivate").await;
    let page = browser.submit(&page, &[("erase", "yes")]).await;
    assert!(page.html.contains("Your account is deactivated"), "{}", page.html);
    assert!(!app.works(&tokens).await);
    assert_eq!(alice.get(WHOAMI).await.errcode(), "M_UNKNOWN_TOKEN");
    let page = browser.open("/account").await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
}
