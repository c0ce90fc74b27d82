use http::{Method, StatusCode, header};
use myelin_server::config::{Config, Registration};
use myelin_testkit::{Browser, TestServer};
use serde_json::json;

use crate::world::{App, PASSWORD, REDIRECT, WHOAMI, error, form, heading, post, registration, scope};

#[tokio::test]
async fn a_client_finds_everything_and_logs_in_renews_and_logs_out() {
    let server = TestServer::new(61).await;
    server.register("alice").await;
    let nobody = server.anonymous();
    let metadata = nobody.get("/_matrix/client/v1/auth_metadata").await.ok();
    for same in [
        "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata",
        "/.well-known/oauth-authorization-server",
    ] {
        assert_eq!(nobody.get(same).await.ok(), metadata, "{same}");
    }
    // The document of OpenID Connect says more.
    let more = nobody.get("/.well-known/openid-configuration").await.ok();
    for (key, value) in metadata.as_object().unwrap() {
        assert_eq!(more[key], *value, "{key}");
    }
    assert_eq!(metadata["issuer"], "https://hs/");
    assert_eq!(metadata["prompt_values_supported"], json!(["create"]));

    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let page = browser.open(&app.authorize(&[])).await;
    assert_eq!((page.status, heading(&page)), (StatusCode::OK, "Sign in"));
    assert!(page.html.contains("Example &lt;App&gt;"), "{}", page.html);
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(heading(&page), "Continue to <bdi>Example &lt;App&gt;</bdi>?");
    assert!(page.html.contains("@alice:hs") && page.html.contains("https://app.example.com"));
    assert!(page.html.contains("href=\"https://example.com/policy\""));
    let sent = browser.submit(&page, &[("decision", "approve")]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER);
    assert_eq!(sent.headers[header::REFERRER_POLICY], "no-referrer");
    assert_eq!(sent.headers[header::CACHE_CONTROL], "no-store");
    assert!(sent.url.starts_with(&format!("{REDIRECT}#state=st%26te&code=")), "{}", sent.url);
    assert_eq!(sent.sent("iss").as_deref(), Some("https://hs/"));

    let tokens = app.redeem(&sent.sent("code").unwrap()).await.ok();
    assert_eq!((&tokens["token_type"], &tokens["scope"]), (&json!("Bearer"), &json!(scope("PHONE"))));
    assert_eq!(tokens["expires_in"], 3600);
    let who = app.with(&tokens, WHOAMI).await.ok();
    assert_eq!((&who["user_id"], &who["device_id"]), (&json!("@alice:hs"), &json!("PHONE")));
    let renewed = app.refresh(&tokens).await.ok();
    assert!(app.works(&renewed).await);
    assert!(!app.works(&tokens).await, "the older token ended when the new one was used");

    let token = renewed["refresh_token"].as_str().unwrap();
    post(&server, "/oauth2/revoke", &[("token", token), ("client_id", &app.client_id)]).await.done();
    let gone = app.with(&renewed, WHOAMI).await;
    assert_eq!((gone.status, gone.errcode()), (StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN"));
    assert_eq!(gone.body["soft_logout"], json!(false));
    post(&server, "/oauth2/revoke", &[("token", token)]).await.done();
}

#[tokio::test]
async fn the_registration_says_what_was_registered_and_twice_the_same_is_one_client() {
    let server = TestServer::new(62).await;
    let nobody = server.anonymous();
    let first = nobody.post("/oauth2/registration", registration()).await;
    assert_eq!(first.status, StatusCode::CREATED);
    let mut expected = registration();
    expected["application_type"] = json!("web");
    for (name, value) in expected.as_object().unwrap() {
        let sorted = |value: &serde_json::Value| {
            let mut list = value.as_array().cloned().unwrap_or_default();
            list.sort_by_key(ToString::to_string);
            list
        };
        let same = if value.is_array() {
            sorted(&first.body[name]) == sorted(value)
        } else {
            first.body[name] == *value
        };
        assert!(same, "{name}: {} for {value}", first.body[name]);
    }
    assert_eq!(nobody.post("/oauth2/registration", registration()).await.body, first.body);
}

#[tokio::test]
async fn whoever_has_no_account_makes_one_on_the_way() {
    let server = TestServer::new(63).await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let page = browser.open(&app.authorize(&[("prompt", "create"), ("login_hint", "mxid:@bob:hs")])).await;
    assert_eq!(heading(&page), "Create an account");
    assert!(page.html.contains("value=\"bob\""), "{}", page.html);
    let short = browser.submit(&page, &[("user_name", "bob"), ("password", "short")]).await;
    assert_eq!(short.status, StatusCode::BAD_REQUEST);
    assert!(short.html.contains("at least 8 characters") && short.html.contains("role=\"alert\""));
    let page = browser.submit(&short, &[("user_name", "bob"), ("password", PASSWORD)]).await;
    assert!(heading(&page).starts_with("Continue to"), "{}", page.html);
    let sent = browser.submit(&page, &[("decision", "approve")]).await;
    let tokens = app.redeem(&sent.sent("code").unwrap()).await.ok();
    assert_eq!(app.with(&tokens, WHOAMI).await.ok()["user_id"], "@bob:hs");
    let page = Browser::new(&server).open("/oauth2/sign-up").await;
    let taken = Browser::new(&server).submit(&page, &[("user_name", "bob")]).await;
    assert_eq!(taken.status, StatusCode::FORBIDDEN, "another browser has not the cookie");
}

#[tokio::test]
async fn accounts_are_made_as_the_operator_lets_them() {
    let mut config = Config { server_name: "hs".to_owned(), ..Config::default() };
    config.limits.enabled = false;
    let closed = TestServer::with(64, config.clone()).await;
    let metadata = closed.anonymous().get("/_matrix/client/v1/auth_metadata").await.ok();
    assert!(metadata.get("prompt_values_supported").is_none());
    let app = App::register(&closed).await;
    let page = Browser::new(&closed).open(&app.authorize(&[("prompt", "create")])).await;
    assert_eq!(heading(&page), "Sign in", "nothing leads to where nothing is");
    let page = Browser::new(&closed).open("/oauth2/sign-up").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(!page.html.contains("<form"));

    config.registration = Registration::Token;
    let server = TestServer::with(65, config).await;
    let token = Some("invited".to_owned());
    let command = myelin_server::admin::Command::TokenAdd { token, uses: Some(1), lifetime: None };
    let _ = server.operate(command).await;
    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/sign-up").await;
    let fields = [("user_name", "bob"), ("password", PASSWORD), ("token", "guessed")];
    let page = browser.submit(&page, &fields).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.html.contains("registration token is not valid"), "{}", page.html);
    let fields = [("user_name", "bob"), ("password", PASSWORD), ("token", "invited")];
    let page = browser.submit(&page, &fields).await;
    assert!(page.html.contains("@bob:hs"), "{}", page.html);
}

#[tokio::test]
async fn who_says_no_or_may_not_be_asked_is_told_to_the_client() {
    let server = TestServer::new(66).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let silent = browser.open(&app.authorize(&[("prompt", "none")])).await;
    assert_eq!(silent.told("error").as_deref(), Some("login_required"));
    let page = browser.open(&app.authorize(&[("response_mode", "query")])).await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    let sent = browser.submit(&page, &[("decision", "deny")]).await;
    assert!(sent.url.starts_with(&format!("{REDIRECT}?state=st%26te&error=access_denied&")), "{}", sent.url);
    assert!(sent.sent("code").is_none());
    let silent = browser.open(&app.authorize(&[("prompt", "none")])).await;
    assert_eq!(silent.told("error").as_deref(), Some("interaction_required"));
    let again = browser.open(&app.authorize(&[("prompt", "login")])).await;
    assert_eq!(heading(&again), "Sign in", "though they are signed in");
    let other = browser.open(&app.authorize(&[("login_hint", "mxid:@bob:hs")])).await;
    assert_eq!(heading(&other), "Sign in", "the client means somebody else");
    assert!(other.html.contains("value=\"@bob:hs\""));
    let same = browser.open(&app.authorize(&[("login_hint", "mxid:@alice:hs")])).await;
    assert!(heading(&same).starts_with("Continue to"));
}

#[tokio::test]
async fn a_code_that_is_redeemed_again_ends_the_session() {
    let server = TestServer::new(67).await;
    let alice = server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let code = app.code(&mut browser, &[]).await;
    let tokens = app.redeem(&code).await.ok();
    assert!(app.works(&tokens).await);
    assert_eq!(error(&app.redeem(&code).await), (400, "invalid_grant"));
    assert!(!app.works(&tokens).await);
    assert_eq!(error(&app.refresh(&tokens).await), (400, "invalid_grant"));
    assert_eq!(alice.get("/_matrix/client/v3/devices/PHONE").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_refresh_token_that_comes_back_ends_the_session_and_a_lost_answer_does_not() {
    let server = TestServer::new(68).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let first = app.login(&mut browser, "PHONE").await;
    app.refresh(&first).await.done();
    let second = app.refresh(&first).await.ok();
    assert!(app.works(&second).await);
    assert_eq!(error(&app.refresh(&first).await), (400, "invalid_grant"));
    assert!(!app.works(&second).await);
}

#[tokio::test]
async fn the_legacy_api_and_the_grant_end_each_other_s_sessions() {
    let server = TestServer::new(69).await;
    let alice = server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let (phone, laptop) = (app.login(&mut browser, "PHONE").await, app.login(&mut browser, "LAPTOP").await);
    let auth = json!({"type": "m.login.password", "user": "alice", "password": PASSWORD});
    let delete = json!({"auth": auth});
    alice.call(Method::DELETE, "/_matrix/client/v3/devices/PHONE", Some(&delete)).await.done();
    assert!(!app.works(&phone).await);
    assert_eq!(error(&app.refresh(&phone).await), (400, "invalid_grant"));
    let mut client = server.anonymous();
    client.token = laptop["access_token"].as_str().map(str::to_owned);
    client.post("/_matrix/client/v3/logout", json!({})).await.done();
    assert_eq!(error(&app.refresh(&laptop).await), (400, "invalid_grant"));
    let token = alice.token.clone().unwrap();
    post(&server, "/oauth2/revoke", &[("token", &token)]).await.done();
    assert_eq!(alice.get(WHOAMI).await.errcode(), "M_UNKNOWN_TOKEN", "whoever finds a token may end it");
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_crash_at_every_step() {
    let server = TestServer::new(70).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let (client_id, authorize) = (app.client_id.clone(), app.authorize(&[]));
    let page = browser.open(&authorize).await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    let cookies = browser.cookies.clone();
    drop((browser, app));
    // Between signing in and approving.
    let server = server.crash().await;
    let app = App { server: &server, client_id: client_id.clone() };
    let mut browser = Browser::new(&server);
    browser.cookies = cookies;
    let sent = browser.submit(&page, &[("decision", "approve")]).await;
    let code = sent.sent("code").unwrap();
    drop((browser, app));
    // Between the code and the tokens.
    let server = server.crash().await;
    let app = App { server: &server, client_id: client_id.clone() };
    let tokens = app.redeem(&code).await.ok();
    drop(app);
    // Between the tokens and their use.
    let server = server.crash().await;
    let app = App { server: &server, client_id: client_id.clone() };
    assert!(app.works(&tokens).await);
    let renewed = app.refresh(&tokens).await.ok();
    drop(app);
    let server = server.crash().await;
    let app = App { server: &server, client_id };
    assert!(app.works(&renewed).await);
    assert_eq!(error(&app.refresh(&tokens).await), (400, "invalid_grant"));
    assert!(!app.works(&renewed).await);
}

#[tokio::test]
async fn a_trusted_service_learns_about_tokens_and_nobody_else() {
    let mut config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    config.limits.enabled = false;
    config.oauth.introspection_secret = Some("a secret of services".to_owned());
    let server = TestServer::with(71, config).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let tokens = app.login(&mut Browser::new(&server), "PHONE").await;
    let token = form(&[("token", tokens["access_token"].as_str().unwrap())]);
    let kind = "application/x-www-form-urlencoded";
    let mut service = server.anonymous();
    for secret in [None, Some("a guess"), Some("")] {
        service.token = secret.map(str::to_owned);
        let refused = service.send(Method::POST, "/oauth2/introspect", kind, token.clone().into()).await;
        assert_eq!(error(&refused), (401, "invalid_client"));
    }
    service.token = Some("a secret of services".to_owned());
    let told = service.send(Method::POST, "/oauth2/introspect", kind, token.into()).await.ok();
    assert_eq!(
        (&told["active"], &told["sub"], &told["username"], &told["client_id"], &told["device_id"]),
        (&json!(true), &json!("@alice:hs"), &json!("alice"), &json!(app.client_id), &json!("PHONE"))
    );
    let nonsense = service.send(Method::POST, "/oauth2/introspect", kind, b"token=x".to_vec()).await.ok();
    assert_eq!(nonsense, json!({"active": false}));
    let metadata = server.anonymous().get("/_matrix/client/v1/auth_metadata").await.ok();
    assert_eq!(metadata["introspection_endpoint"], "https://hs/oauth2/introspect");
}

#[tokio::test]
async fn an_operator_who_wants_none_of_it_has_none_of_it() {
    let mut config = Config { server_name: "hs".to_owned(), ..Config::default() };
    config.oauth.enabled = false;
    let server = TestServer::with(72, config).await;
    let nobody = server.anonymous();
    for path in [
        "/_matrix/client/v1/auth_metadata",
        "/.well-known/openid-configuration",
        "/oauth2/authorize",
        "/oauth2/sign-in",
        "/link",
    ] {
        let answer = nobody.get(path).await;
        assert_eq!((answer.status, answer.errcode()), (StatusCode::NOT_FOUND, "M_UNRECOGNIZED"), "{path}");
    }
    for path in ["/oauth2/registration", "/oauth2/device", "/oauth2/introspect"] {
        assert_eq!(nobody.post(path, json!({})).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn who_logged_in_before_it_was_switched_off_stays_logged_in_until_they_want_to_go() {
    let server = TestServer::new(73).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let tokens = app.login(&mut browser, "PHONE").await;
    let scope = scope("LAPTOP");
    let code = app.code(&mut browser, &[("scope", &scope)]).await;
    let client_id = app.client_id.clone();
    let server = server.reconfigure(|config| config.oauth.enabled = false).await;
    let app = App { server: &server, client_id };
    let renewed = app.refresh(&tokens).await.ok();
    assert!(app.works(&renewed).await);
    assert_eq!(error(&app.redeem(&code).await), (400, "unsupported_grant_type"));
    post(&server, "/oauth2/revoke", &[("token", renewed["refresh_token"].as_str().unwrap())]).await.done();
    assert!(!app.works(&renewed).await);
}
