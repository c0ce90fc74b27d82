use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use myelin_api::ClientAddress;
use myelin_server::config::{Config, Registration};
use myelin_testkit::{Browser, Page, TestServer};

use crate::world::{App, PASSWORD, REDIRECT, error, form, heading, post};

/// Every kind of page, with what made it.
async fn every_page(browser: &mut Browser<'_>, app: &App<'_>) -> Vec<(&'static str, Page)> {
    let sign_in = browser.open(&app.authorize(&[])).await;
    let wrong = browser.submit(&sign_in, &[("user_name", "alice"), ("password", "wrong")]).await;
    let consent = browser.submit(&sign_in, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    vec![
        ("sign in", sign_in),
        ("wrong password", wrong),
        ("consent", consent),
        ("sign up", browser.open("/oauth2/sign-up").await),
        ("code", browser.open("/link").await),
        ("done", browser.open("/oauth2/done").await),
        ("account", browser.open("/account").await),
        ("device", browser.open("/account?action=org.matrix.device_view&device_id=PHONE").await),
        ("profile", browser.open("/account?action=org.matrix.profile").await),
        ("password", browser.open("/account?action=myelin.password").await),
        ("e-mail", browser.open("/account?action=myelin.emails").await),
        ("browsers", browser.open("/account?action=myelin.browsers").await),
        ("activity", browser.open("/account?action=myelin.activity").await),
        ("export", browser.open("/account?action=myelin.export").await),
        ("forgot", browser.open("/oauth2/forgot").await),
        ("deactivate", browser.open("/account?action=org.matrix.account_deactivate").await),
        ("second step", browser.open("/account?action=myelin.second_step").await),
        ("authenticator app", browser.open("/account?action=myelin.totp_add").await),
        ("passkey", browser.open("/account?action=myelin.passkey_add").await),
        ("recovery codes", browser.open("/account?action=myelin.recovery_codes").await),
        ("error", browser.open("/oauth2/authorize").await),
    ]
}

#[tokio::test]
async fn every_page_keeps_to_itself() {
    let server = TestServer::new(91).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    for (name, page) in every_page(&mut browser, &app).await {
        let header = |name| page.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
        let policy = header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{name}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"), "{name}");
        assert!(!policy.contains("unsafe"), "{name}");
        let leads_to_client = policy.contains("https://app.example.com");
        assert_eq!(leads_to_client, name == "consent", "{name}: {policy}");
        assert_eq!(header(header::CACHE_CONTROL), "no-store", "{name}");
        assert_eq!(header(header::REFERRER_POLICY), "same-origin", "{name}");
        assert!(page.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_none(), "{name}");
        for loaded in ["<img", "<link", "<iframe", "@import", "url(", " style=", " onclick="] {
            assert!(!page.html.contains(loaded), "{name} has {loaded}");
        }
        // The one script asks for passkeys, and only where a page has a use for them.
        let asks = ["sign in", "wrong password", "passkey"].contains(&name);
        assert_eq!(page.html.contains("<script"), asks, "{name}");
        assert_eq!(policy.contains("script-src 'nonce-"), asks, "{name}: {policy}");
        if asks {
            let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
            let script = page.html.split("<script").nth(1).unwrap().split('>').next().unwrap();
            assert!(script.contains(&format!("nonce=\"{nonce}\"")) && nonce.len() >= 22, "{script}");
            assert!(
                script.contains(" src=\"/oauth2/passkey.js?v=") && script.contains(" integrity=\"sha256-")
            );
            assert_eq!(
                page.html.matches("<script").count() + page.html.matches(" src=").count(),
                2,
                "{name}"
            );
        }
        assert!(page.html.contains("<html lang=\"en\">") && page.html.contains("name=\"viewport\""));
        for input in page.html.split("<input").skip(1).filter(|input| !input.contains("type=\"hidden\"")) {
            let id = input.split("id=\"").nth(1).unwrap().split('"').next().unwrap();
            assert!(page.html.contains(&format!("<label for=\"{id}\">")), "{name}: {id} has no label");
        }
    }
}

#[tokio::test]
async fn a_page_speaks_the_reader_s_language_and_the_client_s_choice_of_it_first() {
    let server = TestServer::new(92).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    browser.languages = "fr-CH, en;q=0.5".to_owned();
    assert_eq!(heading(&browser.open("/oauth2/sign-in").await), "Se connecter");
    let page = browser.open(&app.authorize(&[("ui_locales", "de-AT en")])).await;
    assert!(page.html.contains("<html lang=\"de\">"), "{}", page.html);
    assert!(page.html.contains("Beispiel"), "the client has a German name");
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(heading(&page), "Weiter zu <bdi>Beispiel</bdi>?");
}

#[tokio::test]
async fn a_form_from_elsewhere_does_nothing() {
    let server = TestServer::new(93).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let page = browser.open(&app.authorize(&[])).await;
    let consent = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    let token = browser.cookies["__Host-myelin-form"].clone();
    let good = [("form_token", token.as_str()), ("user", "@alice:hs"), ("decision", "approve")];
    let path = consent.action();
    for (body, headers) in [
        (form(&good[1..]), &[][..]),
        (form(&[("form_token", ""), good[1], good[2]]), &[]),
        (form(&[("form_token", "x"), good[1], good[2]]), &[]),
        (form(&[good[0], good[0], good[1], good[2]]), &[]),
        (form(&good), &[("sec-fetch-site", "cross-site")]),
        (form(&good), &[("sec-fetch-site", "same-site")]),
        (form(&good), &[("origin", "https://evil.org")]),
        (form(&good), &[("origin", "null")]),
    ] {
        let page = browser.send(Method::POST, &path, Some(body.clone()), headers).await;
        assert_eq!((page.status, page.location()), (StatusCode::FORBIDDEN, None), "{body} {headers:?}");
    }
    let mut other = Browser::new(&server);
    let page = other.post(&path, form(&good)).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "no cookie, no form");
    let sent =
        browser.send(Method::POST, &path, Some(form(&good)), &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "and this one is ours");
}

#[tokio::test]
async fn who_signed_in_in_another_window_is_asked_again() {
    let server = TestServer::new(94).await;
    server.register("alice").await;
    server.register("bob").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let page = browser.open(&app.authorize(&[])).await;
    let consent = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    let other = browser.open("/oauth2/sign-in").await;
    browser.submit(&other, &[("user_name", "bob"), ("password", PASSWORD)]).await;
    let again = browser.submit(&consent, &[("decision", "approve")]).await;
    assert_eq!(again.status, StatusCode::OK);
    assert!(again.html.contains("@bob:hs") && !again.html.contains("@alice:hs"));
}

#[tokio::test]
async fn cookies_are_locked_to_the_server_and_signing_out_ends_what_they_say() {
    let server = TestServer::new(95).await;
    server.register("alice").await;
    let mut browser = Browser::new(&server);
    let page = browser.open("/oauth2/sign-in").await;
    let answer = browser
        .send(
            Method::POST,
            "/oauth2/sign-in",
            Some(form(&[
                ("user_name", "alice"),
                ("password", PASSWORD),
                ("form_token", &page.hidden()[0].1),
            ])),
            &[],
        )
        .await;
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["__Host-myelin-session=myelin_bs_", "; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(set.contains(part), "{set}");
    }
    let stolen = browser.cookies.clone();
    let page = browser.open("/oauth2/done").await;
    assert!(page.html.contains("@alice:hs"));
    let page = browser.submit(&page, &[]).await;
    assert!(page.html.contains("You are signed out"), "{}", page.html);
    assert!(!browser.cookies.contains_key("__Host-myelin-session"));
    browser.cookies = stolen;
    assert_eq!(heading(&browser.open("/oauth2/done").await), "Sign in");
}

#[tokio::test]
async fn a_request_that_would_lead_elsewhere_is_shown_on_a_page() {
    let server = TestServer::new(96).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    app.code(&mut browser, &[]).await;
    for changes in [
        &[("redirect_uri", "https://evil.org/callback")][..],
        &[("redirect_uri", "https://app.example.com.evil.org/callback")],
        &[("redirect_uri", "https://app.example.com/callback/../x")],
        &[("redirect_uri", "https://app.example.com@evil.org/callback")],
        &[("redirect_uri", "javascript:alert(1)")],
        &[("redirect_uri", "https://app.example.com/callback#x")],
        &[("redirect_uri", "")],
        &[("client_id", "")],
        &[("client_id", "unknown")],
        &[("client_id", "unknown"), ("redirect_uri", "https://evil.org/")],
        &[("redirect_uri", REDIRECT), ("redirect_uri", "https://evil.org/")],
    ] {
        let page = browser.open(&app.authorize(changes)).await;
        assert_eq!((page.status, page.location()), (StatusCode::BAD_REQUEST, None), "{changes:?}");
        assert!(!page.html.contains("evil.org") && !page.html.contains("<form"), "{changes:?}");
    }
    for next in ["https://evil.org/", "//evil.org/", "/\\evil.org", "/oauth2/authorize/../../evil"] {
        let page = browser.open(&format!("/oauth2/sign-in?{}", form(&[("next", next)]))).await;
        let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
        assert_eq!((page.status, page.url.as_str()), (StatusCode::OK, "/oauth2/done"), "{next}");
    }
}

#[tokio::test]
async fn whatever_else_is_wrong_is_told_to_the_client_where_the_person_goes_back_to_it() {
    let server = TestServer::new(97).await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    for (changes, code) in [
        (&[("response_type", "token")][..], "unsupported_response_type"),
        (&[("response_type", "")], "invalid_request"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("scope", "profile")], "invalid_scope"),
        (&[("state", "a"), ("state", "b")], "invalid_request"),
        (&[("request", "x")], "request_not_supported"),
    ] {
        let page = browser.open(&app.authorize(changes)).await;
        // Not by itself: anybody may register a client, and this server's address would lead to it (RFC 9700, 4.11.2).
        assert_eq!((page.status, page.location()), (StatusCode::BAD_REQUEST, None), "{changes:?}");
        assert!(page.back().starts_with(&format!("{REDIRECT}#")), "{}", page.html);
        assert_eq!(page.told("error").as_deref(), Some(code), "{changes:?}");
    }
}

#[tokio::test]
async fn guesses_are_limited_on_pages_and_a_client_is_never_told_4xx_for_being_quick() {
    let config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    let server = TestServer::with(98, config).await;
    let request = |path: &str, from: u32| {
        let kind = "application/x-www-form-urlencoded";
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, kind)
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(ClientAddress(IpAddr::V4(Ipv4Addr::from_bits(from))));
        server.request(request)
    };
    for (from, path) in
        [(1, "/oauth2/sign-in"), (2, "/oauth2/sign-up"), (3, "/link"), (5, "/oauth2/second-step")]
    {
        let mut statuses = Vec::new();
        for _ in 0..30 {
            statuses.push(request(path, from).await.status());
        }
        assert_eq!(statuses[0], StatusCode::FORBIDDEN, "{path}");
        assert_eq!(statuses[29], StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    let mut last = request("/oauth2/token", 4).await;
    for _ in 0..500 {
        last = request("/oauth2/token", 4).await;
    }
    assert_eq!(last.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(last.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(error(&post(&server, "/oauth2/token", &[]).await), (400, "invalid_request"));
}

#[tokio::test]
async fn what_somebody_approves_is_limited_wherever_they_are() {
    let config =
        Config { server_name: "hs".to_owned(), registration: Registration::Open, ..Config::default() };
    let server = TestServer::with(120, config).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let mut browser = Browser::new(&server);
    let page = browser.open(&app.authorize(&[])).await;
    let page = browser.submit(&page, &[("user_name", "alice"), ("password", PASSWORD)]).await;
    let mut given = 0;
    for _ in 0..80 {
        let sent = browser.submit(&page, &[("decision", "approve")]).await;
        given += usize::from(sent.sent("code").is_some());
        assert!(sent.sent("code").is_some() || sent.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(given, 60);
    let account = browser.open("/account?action=account_deactivate").await;
    assert_eq!(browser.submit(&account, &[]).await.status, StatusCode::TOO_MANY_REQUESTS);
    let sso = browser.open("/oauth2/sso?redirect_url=https://app.example.com/").await;
    let sso = browser.submit(&sso, &[("decision", "approve")]).await;
    assert_eq!(sso.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_web_client_of_any_origin_may_call_what_programs_call() {
    let server = TestServer::new(99).await;
    for path in ["/oauth2/token", "/oauth2/registration", "/oauth2/revoke", "/oauth2/device"] {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(path)
            .header(header::ORIGIN, "https://app.example.com")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type")
            .body(Body::empty())
            .unwrap();
        let answer = server.request(request).await;
        assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{path}");
    }
}
