//! One server as the provider of another one: both sides of OpenID Connect, without a network.

use http::{Method, StatusCode};
use myelin_server::admin::{Command, Reply};
use myelin_server::config::{AuthTime, Config, Existing, Provider, Registration};
use myelin_testkit::{Browser, Page, TestServer};
use serde_json::{Value, json};

use crate::world::{PASSWORD, VERIFIER, WHOAMI, error, form, heading, post};

const CALLBACK: &str = "https://hs/oauth2/upstream/other/callback";

fn provider(client_id: &str) -> Provider {
    Provider {
        id: "other".to_owned(),
        name: Some("Other <server>".to_owned()),
        issuer: "https://other/".to_owned(),
        client_id: client_id.to_owned(),
        client_secret: None,
        client_secret_file: None,
        scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
        localpart: None,
        display_name: None,
        email: None,
        existing_account: Existing::Apart,
        sign_up: true,
        auth_time: AuthTime::Required,
    }
}

/// A server with an account, and a server that lets people of the first one in.
async fn two(seed: u64) -> (TestServer, TestServer, String) {
    let config = |name: &str| {
        let mut config = Config { server_name: name.to_owned(), ..Config::default() };
        config.limits.enabled = false;
        config
    };
    let other = TestServer::with(seed, Config { registration: Registration::Open, ..config("other") }).await;
    let alice = other.register("alice").await;
    let name = json!({"displayname": "Alice of other"});
    alice.put("/_matrix/client/v3/profile/@alice:other/displayname", name).await.done();
    let client = json!({
        "client_name": "Here", "client_uri": "https://hs/", "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
    });
    let client = other.anonymous().post("/oauth2/registration", client).await;
    let client_id = client.body["client_id"].as_str().unwrap().to_owned();
    let mut here = config("hs");
    here.oauth.providers = vec![provider(&client_id)];
    let here = TestServer::with(seed + 1, here).await;
    here.providers.set("https://other", Some(other.front()));
    (here, other, client_id)
}

/// Where a page leads, as a path of the server that it leads to.
fn at<'p>(page: &'p Page, server: &str) -> &'p str {
    page.url.strip_prefix(server).unwrap_or_else(|| panic!("{} {}", page.url, page.html))
}

/// Goes to the other server, is alice there, and comes back.
async fn there(browser: &mut Browser<'_>, elsewhere: &mut Browser<'_>, from: &str) -> Page {
    let sent = browser.open(from).await;
    let mut page = elsewhere.open(at(&sent, "https://other")).await;
    if page.html.contains("current-password") {
        page = elsewhere.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    }
    assert_eq!(heading(&page), "Continue to <bdi>Here</bdi>?", "{}", page.html);
    assert!(page.html.contains("wants to know who you are") && !page.html.contains("read and send messages"));
    let back = elsewhere.submit(&page, &[("decision", "approve")]).await;
    browser.open(at(&back, "https://hs")).await
}

#[tokio::test]
async fn people_of_one_server_sign_in_to_another_with_their_account_there() {
    let (here, other, _) = two(131).await;
    let (mut browser, mut elsewhere) = (Browser::new(&here), Browser::new(&other));
    let page = browser.open("/oauth2/sign-in").await;
    assert!(page.html.contains("Continue with <bdi>Other &lt;server&gt;</bdi>"), "{}", page.html);
    let page = browser.open("/oauth2/sign-up").await;
    assert_eq!(page.status, StatusCode::OK, "nobody registers here, and by the provider all the same");
    let page = there(&mut browser, &mut elsewhere, "/oauth2/upstream/other?next=/account").await;
    assert_eq!(heading(&page), "Your account", "{}", page.html);
    assert!(page.html.contains("@alice:hs"));
    let name = here.anonymous().get("/_matrix/client/v3/profile/@alice:hs").await.ok();
    assert_eq!(name["displayname"], "Alice of other");
    let mut again = Browser::new(&here);
    let page = there(&mut again, &mut elsewhere, "/oauth2/upstream/other").await;
    assert!(page.html.contains("@alice:hs"), "{}", page.html);
    let asked = here.providers.take_asked();
    let keys = asked.iter().filter(|asked| asked.ends_with("/oauth2/keys")).count();
    assert_eq!(keys, 1, "what is known is not asked again: {asked:?}");
}

#[tokio::test]
async fn who_comes_by_a_provider_accepts_the_terms_before_anything_else() {
    let (here, other, _) = two(162).await;
    let here = here.reconfigure(|config| config.terms = crate::terms::terms("1")).await;
    here.providers.set("https://other", Some(other.front()));
    let (mut browser, mut elsewhere) = (Browser::new(&here), Browser::new(&other));
    let page = there(&mut browser, &mut elsewhere, "/oauth2/upstream/other?next=/account").await;
    assert_eq!(heading(&page), "Before you go on", "{}", page.html);
    assert_eq!(heading(&browser.open("/account").await), "Before you go on");
    assert_eq!(heading(&browser.submit(&page, &[]).await), "Your account");
}

#[tokio::test]
async fn a_provider_that_is_gone_is_told_on_a_page_and_nobody_is_sent_anywhere() {
    let (here, other, _) = two(133).await;
    here.providers.set("https://other", None);
    let mut browser = Browser::new(&here);
    let page = browser.open("/oauth2/upstream/other?next=/account").await;
    assert_eq!((page.status, page.location()), (StatusCode::BAD_GATEWAY, None));
    assert!(page.html.contains("can't be used at the moment"));
    assert_eq!(page.back(), "/oauth2/sign-in?next=%2Faccount");
    for path in [
        "/oauth2/upstream/nobody",
        "/oauth2/upstream/nobody/callback?state=x",
        "/oauth2/upstream/nobody/decide",
    ] {
        let page = browser.open(path).await;
        assert_eq!((page.status, page.location()), (StatusCode::NOT_FOUND, None), "{path}");
    }
    for query in ["", "?state=x&code=y", "?error=x", "?state=x&state=y&code=z"] {
        let page = browser.open(&format!("/oauth2/upstream/other/callback{query}")).await;
        assert_eq!((page.status, page.location()), (StatusCode::BAD_REQUEST, None), "{query}");
    }
    drop(other);
    let told = post(&here, "/oauth2/upstream/other/logout", &[("logout_token", "x.y.z")]).await;
    assert_eq!(error(&told), (400, "invalid_request"));
}

#[tokio::test]
async fn who_is_to_sign_in_anew_at_the_other_server_can_t_leave_it_out() {
    let (here, other, _) = two(139).await;
    let (mut browser, mut elsewhere) = (Browser::new(&here), Browser::new(&other));
    let _ = there(&mut browser, &mut elsewhere, "/oauth2/upstream/other?next=/account").await;
    for server in [&here, &other] {
        server.clock.advance(std::time::Duration::from_secs(11 * 60));
    }
    let grave = "/account?action=org.matrix.account_deactivate";
    assert_eq!(heading(&browser.open(grave).await), "Sign in");
    let leave = format!("/oauth2/upstream/other?{}", form(&[("next", grave)]));
    let sent = browser.open(&leave).await;
    assert!(sent.url.contains("&max_age=0") && sent.url.ends_with("&prompt=login"), "{}", sent.url);
    let anew = elsewhere.open(&at(&sent, "https://other").replace("&prompt=login", "")).await;
    assert_eq!(heading(&anew), "Sign in", "max_age asks for the same");
    let struck =
        at(&sent, "https://other").replace("&prompt=login", "").replace("&max_age=0", "&max_age=9999");
    let page = elsewhere.open(&struck).await;
    assert_eq!(heading(&page), "Continue to <bdi>Here</bdi>?", "{}", page.html);
    let back = elsewhere.submit(&page, &[("decision", "approve")]).await;
    let refused = browser.open(at(&back, "https://hs")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.html.contains("without asking who you are"), "{}", refused.html);
    assert_eq!(heading(&browser.open(grave).await), "Sign in");
    let page = there(&mut browser, &mut elsewhere, &leave).await;
    assert_eq!(heading(&page), "Deactivate your account?");
}

#[tokio::test]
async fn who_has_no_password_shows_on_a_page_that_it_is_them_where_the_legacy_api_asks_for_one() {
    let (here, other, _) = two(141).await;
    let (mut browser, mut elsewhere) = (Browser::new(&here), Browser::new(&other));
    let _ = there(&mut browser, &mut elsewhere, "/oauth2/upstream/other").await;
    let mut devices = Vec::new();
    for _ in 0..2 {
        let page = browser.open("/oauth2/sso?redirect_url=https://old.example.org/").await;
        let sent = browser.submit(&page, &[("decision", "approve")]).await;
        let token = sent.sent("loginToken").unwrap();
        let login = json!({"type": "m.login.token", "token": token});
        devices.push(here.anonymous().post("/_matrix/client/v3/login", login).await.ok());
    }
    let mut alice = here.anonymous();
    alice.token = devices[0]["access_token"].as_str().map(str::to_owned);
    let device = format!("/_matrix/client/v3/devices/{}", devices[1]["device_id"].as_str().unwrap());
    let challenge = alice.call(Method::DELETE, &device, Some(&json!({}))).await;
    assert_eq!(challenge.body["flows"], json!([{"stages": ["m.login.sso"]}]), "{}", challenge.body);
    let session = challenge.body["session"].as_str().unwrap();
    let auth = json!({"auth": {"session": session}});
    let early = alice.call(Method::DELETE, &device, Some(&auth)).await;
    assert_eq!(early.status, StatusCode::UNAUTHORIZED);

    let fallback = format!("/_matrix/client/v3/auth/m.login.sso/fallback/web?session={session}");
    let sent = here.anonymous().get(&fallback).await;
    assert_eq!(sent.status, StatusCode::FOUND);
    let place = format!("/account?action=myelin.confirm&session={session}");
    // Somebody else's browser has nothing to confirm.
    let add = Command::UserAdd { name: "eve".to_owned(), password: PASSWORD.to_owned(), admin: false };
    let _ = here.operate(add).await;
    let mut stranger = Browser::new(&here);
    let page = stranger.open(&place).await;
    let page = stranger.submit(&page, &[("user_name", "eve"), ("password", PASSWORD)]).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND, "{}", page.html);
    let page = browser.open(&place).await;
    assert_eq!(heading(&page), "Is it you?", "{}", page.html);
    let told = browser.submit(&page, &[]).await;
    assert!(told.html.contains("Your app knows now"), "{}", told.html);
    let done = alice.call(Method::DELETE, &device, Some(&auth)).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.body);
    let again = alice.call(Method::DELETE, &device, Some(&auth)).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED, "once");

    // Who has a password is asked for it.
    let eve = here.anonymous();
    let login = json!({
        "type": "m.login.password", "password": PASSWORD, "identifier": {"type": "m.id.user", "user": "eve"},
    });
    let told = eve.post("/_matrix/client/v3/login", login).await.ok();
    let mut eve = here.anonymous();
    eve.token = told["access_token"].as_str().map(str::to_owned);
    let asked = eve.post("/_matrix/client/v3/account/deactivate", json!({})).await;
    assert_eq!(asked.body["flows"], json!([{"stages": ["m.login.password"]}]));
}

#[tokio::test]
async fn where_passwords_are_switched_off_the_account_s_pages_offer_none() {
    const PASSWORD_PAGE: &str = "/account?action=myelin.password";
    let (here, other, _) = two(143).await;
    let (mut browser, mut elsewhere) = (Browser::new(&here), Browser::new(&other));
    let page = there(&mut browser, &mut elsewhere, "/oauth2/upstream/other?next=/account").await;
    assert!(page.html.contains(PASSWORD_PAGE), "{}", page.html);
    let here = here.reconfigure(|config| config.passwords.login = false).await;
    let mut browser = Browser::new(&here);
    let page = there(&mut browser, &mut elsewhere, "/oauth2/upstream/other?next=/account").await;
    assert_eq!(heading(&page), "Your account");
    assert!(!page.html.contains(PASSWORD_PAGE), "{}", page.html);
    let page = browser.open(PASSWORD_PAGE).await;
    assert!(page.html.contains("does not keep your password"), "{}", page.html);
    assert!(!page.html.contains("type=\"password\""));
}

#[tokio::test]
async fn administrators_see_providers_and_whose_account_is_whose_and_take_that_apart() {
    let (here, other, _) = two(137).await;
    let add = Command::UserAdd { name: "admin".to_owned(), password: PASSWORD.to_owned(), admin: true };
    let _ = here.operate(add).await;
    let mut admin = here.anonymous();
    let login = json!({
        "type": "m.login.password", "password": PASSWORD, "identifier": {"type": "m.id.user", "user": "admin"},
    });
    let told = admin.post("/_matrix/client/v3/login", login).await.ok();
    admin.token = told["access_token"].as_str().map(str::to_owned);
    let path = |rest: &str| format!("/_myelin/admin/v1{rest}");
    let listed = admin.get(&path("/providers")).await.ok();
    assert_eq!(listed["providers"][0]["redirect_uri"], CALLBACK);
    assert_eq!(listed["providers"][0].get("works"), None, "nobody has asked it yet");
    let check = path("/providers/other/check");
    let checked = admin.post(&check, json!({})).await.ok();
    assert_eq!(checked["works"], true, "{checked}");
    here.providers.set("https://other", None);
    let checked = admin.post(&check, json!({})).await.ok();
    assert!(checked["works"] == false && checked["problem"].is_string(), "{checked}");
    assert_eq!(admin.get(&path("/providers")).await.ok()["providers"][0]["works"], false);
    here.providers.set("https://other", Some(other.front()));
    assert_eq!(admin.post(&path("/providers/nobody/check"), json!({})).await.status, StatusCode::NOT_FOUND);

    let (mut browser, mut elsewhere) = (Browser::new(&here), Browser::new(&other));
    let _ = there(&mut browser, &mut elsewhere, "/oauth2/upstream/other").await;
    let connections = path("/users/@alice:hs/connections");
    let listed = admin.get(&connections).await.ok();
    assert_eq!(listed["connections"][0]["provider"], "other");
    assert_eq!(listed["connections"][0]["subject"], "@alice:other");
    let one = format!("{connections}/other");
    admin.call(Method::DELETE, &one, None).await.done();
    assert_eq!(admin.call(Method::DELETE, &one, None).await.status, StatusCode::NOT_FOUND);
    assert_eq!(admin.get(&connections).await.ok()["connections"], json!([]));
    let links = here.operate(Command::ProviderLinks { name: "alice".to_owned() }).await;
    assert!(matches!(links, Reply::Done(list) if list == json!([])), "the command says the same");
    let log = admin.get(&path("/users/@alice:hs/audit?limit=1")).await.ok();
    assert_eq!(log["entries"][0]["action"], "upstream.disconnect");
    assert_eq!(log["entries"][0]["actor"], "@admin:hs");
}

#[tokio::test]
async fn an_identity_is_no_session_and_ends_with_a_code_that_comes_back() {
    let (_here, other, client_id) = two(135).await;
    let mut browser = Browser::new(&other);
    let challenge = myelin_oauth_core::pkce::Challenge::of(VERIFIER).unwrap();
    let request = |scope: &str| {
        let pairs = [
            ("client_id", client_id.as_str()),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", scope),
            ("nonce", "n"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        format!("/oauth2/authorize?{}", form(&pairs))
    };
    let page = browser.open(&request("openid profile offline_access")).await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    let code = browser.submit(&page, &[("decision", "approve")]).await.sent("code").unwrap();
    let redeem = async |code: &str| {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("client_id", &client_id),
            ("code_verifier", VERIFIER),
        ];
        post(&other, "/oauth2/token", &pairs).await
    };
    let tokens = redeem(&code).await.ok();
    assert_eq!((&tokens["scope"], &tokens["refresh_token"]), (&json!("openid profile"), &Value::Null));
    let mut holder = other.anonymous();
    holder.token = tokens["access_token"].as_str().map(str::to_owned);
    assert_eq!(holder.get(WHOAMI).await.errcode(), "M_UNKNOWN_TOKEN", "it is good for nothing else");
    let told = holder.get("/oauth2/userinfo").await.ok();
    assert_eq!(told, json!({"sub": "@alice:other", "preferred_username": "alice", "name": "Alice of other"}));
    assert_eq!(error(&redeem(&code).await), (400, "invalid_grant"));
    let gone = holder.get("/oauth2/userinfo").await;
    assert_eq!(gone.status, StatusCode::UNAUTHORIZED, "somebody else had the code");
    // Beside a session nobody's identity is told.
    let session = "openid urn:matrix:client:api:* urn:matrix:client:device:PHONE";
    let page = browser.open(&request(session)).await;
    let code = browser.submit(&page, &[("decision", "approve")]).await.sent("code").unwrap();
    let tokens = redeem(&code).await.ok();
    assert_eq!((tokens.get("id_token"), tokens["refresh_token"].is_string()), (None, true));
    let document = other.anonymous().get("/.well-known/openid-configuration").await.ok();
    assert_eq!(document["jwks_uri"], "https://other/oauth2/keys");
    let before = other.anonymous().get("/oauth2/keys").await.ok();
    other.clock.advance(std::time::Duration::from_secs(31 * 86_400));
    let after = other.anonymous().get("/oauth2/keys").await.ok();
    assert_eq!(before["keys"][1]["kid"], after["keys"][0]["kid"], "the key of last month is still known");
    assert_eq!(before["keys"][2]["kid"], after["keys"][1]["kid"], "and this month's was known before");
}
