//! Signing in in two steps, on the pages and around them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode, header};
use myelin_runtime::Clock as _;
use myelin_server::admin::{Command, Reply};
use myelin_testkit::{Browser, Page, TestServer};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use totp_rs::{Builder, Secret, Totp};

use crate::world::{App, PASSWORD, WHOAMI, form, heading};

const NAME_AND_PASSWORD: [(&str, &str); 2] = [("user_name", "alice"), ("password", PASSWORD)];

/// What somebody took into their phone, and wrote down.
struct Enrolled {
    app: Totp,
    codes: Vec<String>,
}

fn code(server: &TestServer, app: &Totp) -> String {
    app.generate(server.clock.now() / 1_000).to_string()
}

/// What stands between the two in a page, each time.
fn between<'p>(page: &'p Page, before: &str, after: &str) -> Vec<&'p str> {
    page.html.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

/// Signs in and sets an app up.
async fn enrol<'s>(server: &'s TestServer) -> (Browser<'s>, Enrolled) {
    let mut browser = Browser::new(server);
    let page = browser.open("/account?action=myelin.totp_add").await;
    let page = browser.submit(&page, &NAME_AND_PASSWORD).await;
    assert_eq!(heading(&page), "Set up an authenticator app");
    assert!(page.html.contains("<svg class=\"qr\"") && page.html.contains("can't log in any more then"));
    let secret = between(&page, "<code class=\"secret\">", "</code>")[0].replace(' ', "");
    let app = Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).build().unwrap();
    let wrong = browser.submit(&page, &[("code", "000000")]).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert_eq!(
        between(&wrong, "<code class=\"secret\">", "</code>"),
        between(&page, "<code class=\"secret\">", "</code>"),
        "the same secret, which is in the app already"
    );
    let done = browser.submit(&wrong, &[("code", &code(server, &app))]).await;
    assert_eq!(heading(&done), "Recovery codes", "{}", done.html);
    let codes: Vec<_> = between(&done, "<li><code>", "</code>").into_iter().map(str::to_owned).collect();
    assert_eq!(codes.len(), 10);
    server.clock.advance(Duration::from_secs(30));
    (browser, Enrolled { app, codes })
}

/// The second step of who types name and password.
async fn first_step(browser: &mut Browser<'_>, path: &str) -> Page {
    let page = browser.open(path).await;
    assert_eq!(heading(&page), "Sign in");
    let page = browser.submit(&page, &NAME_AND_PASSWORD).await;
    assert_eq!(heading(&page), "One more step");
    page
}

#[tokio::test]
async fn with_an_app_signing_in_asks_for_its_code_and_goes_on_to_where_one_wanted() {
    let server = TestServer::new(121).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let (_, phone) = enrol(&server).await;
    let mut browser = Browser::new(&server);
    let page = first_step(&mut browser, &app.authorize(&[])).await;
    assert!(browser.cookies.contains_key("__Host-myelin-half"));
    assert!(!browser.cookies.contains_key("__Host-myelin-session"));
    assert!(page.html.contains("@alice:hs"));
    for elsewhere in ["/account", "/oauth2/done", "/link"] {
        assert_eq!(heading(&browser.open(elsewhere).await), "Sign in", "{elsewhere}: half is not signed in");
    }
    let wrong = browser.submit(&page, &[("code", "000000")]).await;
    assert_eq!((wrong.status, heading(&wrong)), (StatusCode::FORBIDDEN, "One more step"));
    let typed = code(&server, &phone.app);
    let consent = browser.submit(&page, &[("code", &typed)]).await;
    assert!(heading(&consent).starts_with("Continue to"), "{}", consent.html);
    assert!(!browser.cookies.contains_key("__Host-myelin-half"));
    let sent = browser.submit(&consent, &[("decision", "approve")]).await;
    app.redeem(&sent.sent("code").unwrap()).await.done();

    let mut thief = Browser::new(&server);
    let page = first_step(&mut thief, "/account").await;
    let again = thief.submit(&page, &[("code", &typed)]).await;
    assert_eq!(
        (again.status, heading(&again)),
        (StatusCode::FORBIDDEN, "One more step"),
        "seen over a shoulder"
    );
}

#[tokio::test]
async fn without_the_phone_a_recovery_code_gets_in_and_the_page_says_how_many_are_left() {
    let server = TestServer::new(122).await;
    server.register("alice").await;
    let (_, phone) = enrol(&server).await;
    let mut browser = Browser::new(&server);
    let page = first_step(&mut browser, "/account?action=myelin.second_step").await;
    let page = browser.submit(&page, &[("code", &phone.codes[0])]).await;
    assert_eq!(heading(&page), "Second step");
    assert!(page.html.contains("You have 9 left"), "{}", page.html);
    let page = browser.open("/account?action=myelin.recovery_codes").await;
    let page = browser.submit(&page, &[]).await;
    let new = between(&page, "<li><code>", "</code>");
    assert!(new.len() == 10 && !new.contains(&phone.codes[1].as_str()));
    let page = browser.open("/account?action=myelin.totp_remove").await;
    let page = browser.submit(&page, &[]).await;
    assert!(page.html.contains("The authenticator app is removed"), "{}", page.html);
    let mut other = Browser::new(&server);
    let page = other.open("/account").await;
    assert_eq!(heading(&other.submit(&page, &NAME_AND_PASSWORD).await), "Your account");
}

#[tokio::test]
async fn changing_a_factor_asks_for_both_steps_again_after_ten_minutes() {
    let server = TestServer::new(123).await;
    server.register("alice").await;
    let (mut browser, phone) = enrol(&server).await;
    let open = browser.open("/account?action=myelin.totp_remove").await;
    server.clock.advance(Duration::from_secs(11 * 60));
    for action in
        ["myelin.totp_add", "myelin.totp_remove", "myelin.recovery_codes", "org.matrix.account_deactivate"]
    {
        let page = browser.open(&format!("/account?action={action}")).await;
        assert_eq!(heading(&page), "Sign in", "{action}");
    }
    let late = browser.submit(&open, &[]).await;
    assert_eq!(heading(&late), "Sign in", "the form was shown in time, and sent too late");
    let page = browser.submit(&late, &NAME_AND_PASSWORD).await;
    assert_eq!(heading(&page), "One more step", "the password alone is not enough");
    let page = browser.submit(&page, &[("code", &code(&server, &phone.app))]).await;
    assert_eq!(heading(&page), "Remove the authenticator app?");
}

#[tokio::test]
async fn a_password_alone_opens_no_session_of_the_legacy_api_and_those_that_are_open_go_on() {
    let server = TestServer::new(124).await;
    let alice = server.register("alice").await;
    enrol(&server).await;
    let body = json!({
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}, "password": PASSWORD,
    });
    let refused = server.anonymous().post("/_matrix/client/v3/login", body.clone()).await;
    assert_eq!((refused.status, refused.errcode()), (StatusCode::FORBIDDEN, "M_FORBIDDEN"));
    assert!(refused.body["error"].as_str().unwrap().contains("m.login.sso"), "{}", refused.body);
    let mut wrong = body;
    wrong["password"] = json!("guessed");
    let wrong = server.anonymous().post("/_matrix/client/v3/login", wrong).await;
    assert!(!wrong.body["error"].as_str().unwrap().contains("second"), "{}", wrong.body);
    alice.get(WHOAMI).await.done();
    // Whoever has a session has passed both: interactive authentication asks for the password only.
    let path = format!("/_matrix/client/v3/devices/{}", alice.device_id);
    let asked = alice.send(Method::DELETE, &path, "application/json", b"{}".to_vec()).await;
    let auth = json!({"auth": {
        "type": "m.login.password", "session": asked.body["session"],
        "identifier": {"type": "m.id.user", "user": "alice"}, "password": PASSWORD,
    }});
    alice.send(Method::DELETE, &path, "application/json", auth.to_string().into_bytes()).await.done();
}

#[tokio::test]
async fn an_operator_lets_somebody_in_who_lost_everything() {
    let server = TestServer::new(125).await;
    server.register("alice").await;
    let (mut browser, _) = enrol(&server).await;
    let reply = server.operate(Command::UserRemoveFactors { name: "alice".to_owned() }).await;
    assert!(matches!(reply, Reply::Done(_)), "{reply:?}");
    assert_eq!(heading(&browser.open("/account").await), "Sign in");
    let mut other = Browser::new(&server);
    let page = other.open("/account").await;
    assert_eq!(heading(&other.submit(&page, &NAME_AND_PASSWORD).await), "Your account");
    let unknown = server.operate(Command::UserRemoveFactors { name: "nobody".to_owned() }).await;
    assert!(matches!(unknown, Reply::Failed(_)), "{unknown:?}");
}

#[tokio::test]
async fn the_second_step_outlives_a_restart_and_its_cookie_is_nobody_else_s() {
    let server = TestServer::new(126).await;
    server.register("alice").await;
    let (_, phone) = enrol(&server).await;
    let mut browser = Browser::new(&server);
    let page = first_step(&mut browser, "/account").await;
    let cookies = browser.cookies.clone();
    let server = server.restart().await;
    let mut browser = Browser::new(&server);
    browser.cookies = cookies;
    let half = browser.cookies["__Host-myelin-half"].clone();
    browser.cookies.insert("__Host-myelin-half".to_owned(), format!("{half}x"));
    let refused = browser.submit(&page, &[("code", &phone.codes[0])]).await;
    assert_eq!((refused.status, heading(&refused)), (StatusCode::FORBIDDEN, "One more step"));
    assert!(refused.html.contains("type your password again"), "{}", refused.html);
    browser.cookies.insert("__Host-myelin-half".to_owned(), half);
    let page = browser.submit(&page, &[("code", &phone.codes[0])]).await;
    assert_eq!(heading(&page), "Your account");
    let token = browser.cookies["__Host-myelin-form"].clone();
    let nobody =
        browser.post("/oauth2/second-step", form(&[("form_token", &token), ("code", "123456")])).await;
    assert_eq!(nobody.status, StatusCode::FORBIDDEN, "nobody is half signed in");
}

#[tokio::test]
async fn the_script_is_what_pages_say_it_is_and_kept_for_long() {
    let server = TestServer::new(127).await;
    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/sign-in").await;
    let script = between(&page, "<script", ">")[0];
    let part = |name: &str| script.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
    let answer = browser.open(part("src")).await;
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert_eq!(answer.headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    let digest = STANDARD.encode(Sha256::digest(answer.html.as_bytes()));
    assert_eq!(part("integrity"), format!("sha256-{digest}"));
    let other = browser.open("/oauth2/sign-in").await;
    assert_ne!(
        between(&page, " nonce=\"", "\""),
        between(&other, " nonce=\"", "\""),
        "each page has its own"
    );
}

#[tokio::test]
async fn a_passkey_that_nobody_has_is_refused_on_the_page_and_the_form_goes_on() {
    let server = TestServer::new(128).await;
    server.register("alice").await;
    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/sign-in").await;
    for answer in ["x", "{}", r#"{"id":"AA","rawId":"AA","type":"public-key","response":{}}"#] {
        let refused = browser.submit(&page, &[("answer", answer)]).await;
        assert_eq!((refused.status, heading(&refused)), (StatusCode::FORBIDDEN, "Sign in"), "{answer}");
        assert!(refused.html.contains("This passkey could not be checked"), "{}", refused.html);
    }
    let expired = browser.submit(&page, &[("answer", "{}"), ("challenge", "x")]).await;
    assert!(expired.html.contains("This took too long"), "{}", expired.html);
    let page = browser.submit(&expired, &NAME_AND_PASSWORD).await;
    assert_eq!(heading(&page), "Done");
    let page = browser.open("/account?action=myelin.passkey_edit&passkey=none").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    let page = browser.open("/account?action=myelin.passkey_add").await;
    assert_eq!(heading(&page), "Add a passkey");
    let again = browser.submit(&page, &[("answer", "{}"), ("name", "phone")]).await;
    assert_eq!((again.status, heading(&again)), (StatusCode::FORBIDDEN, "Add a passkey"));
}
