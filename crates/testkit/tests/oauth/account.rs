//! The account's pages, to which clients lead people.

use std::time::Duration;

use http::StatusCode;
use myelin_testkit::{Answer, Browser, Client, TestServer};
use serde_json::{Value, json};

use crate::world::{App, PASSWORD, WHOAMI, heading, post, scope};

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
            "profile" => "Your profile",
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
    let grave = browser.open("/account?action=org.matrix.account_deactivate").await;
    server.clock.advance(Duration::from_secs(11 * 60));
    assert_eq!(heading(&browser.open("/account").await), "Your account");
    for action in ["org.matrix.cross_signing_reset", "org.matrix.account_deactivate"] {
        let page = browser.open(&format!("/account?action={action}")).await;
        assert_eq!(heading(&page), "Sign in", "{action}");
        assert!(page.html.contains("value=\"@alice:hs\""));
    }
    let late = browser.submit(&grave, &[]).await;
    assert_eq!(heading(&late), "Sign in", "the form was shown in time, and sent too late");
    let page = browser.submit(&late, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(heading(&page), "Deactivate your account?");
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
    assert_eq!(url, "https://hs/account?action=org.matrix.cross_signing_reset&device_id=PHONE");
    let session = asked.body["session"].clone();
    for stage in ["m.oauth", "org.matrix.cross_signing_reset"] {
        let id = session.as_str().unwrap();
        let fallback = format!("/_matrix/client/v3/auth/{stage}/fallback/web?session={id}");
        assert_eq!(
            Browser::new(&server).open(&fallback).await.url,
            url,
            "clients that don't know it come there"
        );
    }
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

    // Some clients ask again without naming the session, and lead to the page by the action alone.
    let page = browser.open("/account?action=cross_signing_reset").await;
    assert!(page.html.contains("Example &lt;App&gt;"), "who asked is known: {}", page.html);
    browser.submit(&page, &[]).await;
    phone.post(UPLOAD, keys(&phone, 2, None)).await.done();
    let page = browser.open("/account?action=cross_signing_reset").await;
    browser.submit(&page, &[]).await;
    server.clock.advance(Duration::from_secs(600));
    assert_eq!(*flows(&phone.post(UPLOAD, keys(&phone, 3, None)).await), expected, "soon");
}

#[tokio::test]
async fn an_approval_is_good_for_the_session_that_it_was_shown_for_and_no_other() {
    let server = TestServer::new(116).await;
    let legacy = server.register("alice").await;
    let app = App::register(&server).await;
    let of = async |device_id: &str| {
        let tokens = app.login(&mut Browser::new(&server), device_id).await;
        let mut client = server.anonymous();
        client.token = tokens["access_token"].as_str().map(str::to_owned);
        client.user_id.clone_from(&legacy.user_id);
        client
    };
    let (phone, stolen) = (of("PHONE").await, of("STOLEN").await);
    phone.post(UPLOAD, keys(&phone, 0, None)).await.done();
    let asked = |answer: Answer| answer.status == StatusCode::UNAUTHORIZED;
    assert!(asked(phone.post(UPLOAD, keys(&phone, 1, None)).await));
    assert!(asked(stolen.post(UPLOAD, keys(&stolen, 2, None)).await));

    // Two wait: the person says which, and the page names it.
    let (mut browser, page) = signed_in(&server, "/account?action=org.matrix.cross_signing_reset").await;
    let (mine, other) =
        (page.html.find("device_id=PHONE").unwrap(), page.html.find("device_id=STOLEN").unwrap());
    assert!(other < mine, "the last one to ask comes first: {}", page.html);
    let page = browser.open("/account?action=org.matrix.cross_signing_reset&device_id=PHONE").await;
    let page = browser.submit(&page, &[]).await;
    assert!(page.html.contains("within the next ten minutes"), "{}", page.html);
    assert!(asked(stolen.post(UPLOAD, keys(&stolen, 2, None)).await), "it was not for this one");
    phone.post(UPLOAD, keys(&phone, 1, None)).await.done();

    // What was approved for a session is not for one that is opened under its id afterwards.
    let page = browser.open("/account?action=org.matrix.cross_signing_reset&device_id=PHONE").await;
    browser.submit(&page, &[]).await;
    let anew = of("PHONE").await;
    assert!(asked(anew.post(UPLOAD, keys(&anew, 2, None)).await));
}

#[tokio::test]
async fn who_logs_in_with_a_device_id_that_is_taken_is_told_what_will_be_signed_out() {
    let server = TestServer::new(117).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let fresh = browser.open(&app.authorize(&[])).await;
    let fresh = browser.submit(&fresh, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    assert!(!fresh.html.contains("It will be signed out"), "{}", fresh.html);
    app.login(&mut browser, "PHONE").await;
    let taken = browser.open(&app.authorize(&[])).await;
    assert!(taken.html.contains("on a device <bdi>PHONE</bdi> already"), "{}", taken.html);
    let scope = scope("PHONE");
    let waiting = post(&server, "/oauth2/device", &[("client_id", &app.client_id), ("scope", &scope)]).await;
    let code = waiting.ok()["user_code"].as_str().unwrap().to_owned();
    let page = browser.open("/link").await;
    let page = browser.submit(&page, &[("user_code", &code)]).await;
    assert!(page.html.contains("on a device <bdi>PHONE</bdi> already"), "{}", page.html);
    assert!(page.html.contains("Nobody has checked that"), "no host is proved there: {}", page.html);
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
