//! Each endpoint answers what it can't do with the error that the RFC names, and none with a 5xx.

use http::{Method, StatusCode};
use myelin_api::routes;
use myelin_testkit::{Browser, TestServer};
use serde_json::json;

use crate::world::{App, REDIRECT, VERIFIER, error, form, post};

const FORM: &str = "application/x-www-form-urlencoded";

fn garbage() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("nothing", FORM, Vec::new()),
        ("no form", "application/json", b"{\"grant_type\":\"refresh_token\"}".to_vec()),
        ("bad UTF-8", FORM, b"client_id=%ff%fe&scope=\xff&grant=\xc3".to_vec()),
        ("broken escapes", FORM, b"%&%%=%zz&=&&&".to_vec()),
        ("too many parameters", FORM, "a=b&".repeat(1_000).into_bytes()),
        ("too long", FORM, vec![b'a'; 100_000]),
        ("far too long", FORM, vec![b'a'; 2_000_000]),
        ("no type", "", b"grant_type=refresh_token".to_vec()),
    ]
}

#[tokio::test]
async fn garbage_gets_a_client_error_in_the_words_of_the_rfc_on_every_route() {
    let server = TestServer::new(101).await;
    for route in routes::oauth_table() {
        for path in route.paths() {
            for (kind, content_type, body) in garbage() {
                let answer = server.anonymous().send(route.method().clone(), path, content_type, body).await;
                assert!(answer.status.is_client_error(), "{path} with {kind}: {}", answer.status);
                let known = ["invalid_request", "invalid_client", "invalid_client_metadata"];
                assert!(known.contains(&error(&answer).1), "{path} with {kind}: {}", answer.body);
                assert!(answer.body["error_description"].is_string(), "{path} with {kind}");
            }
        }
    }
}

#[tokio::test]
async fn garbage_on_a_page_is_answered_by_a_page() {
    let server = TestServer::new(102).await;
    for (path, methods) in myelin_web::ROUTES {
        for method in *methods {
            for query in
                ["", "?next=%ff", "?%&%%=", "?client_id=%00&redirect_uri=%0d%0a", "?user_code=\u{25}e9"]
            {
                for (kind, _, body) in garbage() {
                    let mut browser = Browser::new(&server);
                    let body = (*method == Method::POST).then(|| String::from_utf8_lossy(&body).into_owned());
                    let page = browser.send(method.clone(), &format!("{path}{query}"), body, &[]).await;
                    assert!(
                        page.status.as_u16() < 500,
                        "{method} {path}{query} with {kind}: {}",
                        page.status
                    );
                    if *method == Method::POST {
                        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}{query} with {kind}");
                        assert!(page.html.starts_with("<!DOCTYPE html>"), "{path}{query} with {kind}");
                    }
                    let place = page.location().unwrap_or_else(|| "/".to_owned());
                    assert!(place.starts_with('/') && !place.starts_with("//"), "{path}{query}: {place}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_token_endpoint_names_what_is_wrong() {
    let server = TestServer::new(103).await;
    server.register("alice").await;
    let app = App::register(&server).await;
    let code = app.code(&mut Browser::new(&server), &[]).await;
    let good = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT),
        ("client_id", app.client_id.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let wrong = "x".repeat(43);
    for (name, value, code) in [
        ("grant_type", None, "invalid_request"),
        ("grant_type", Some("password"), "unsupported_grant_type"),
        ("grant_type", Some("client_credentials"), "unsupported_grant_type"),
        ("code", None, "invalid_request"),
        ("code", Some("myelin_ac_x"), "invalid_grant"),
        ("redirect_uri", None, "invalid_request"),
        ("redirect_uri", Some("https://app.example.com/other"), "invalid_grant"),
        ("client_id", None, "invalid_request"),
        ("client_id", Some("other"), "invalid_grant"),
        ("code_verifier", None, "invalid_request"),
        ("code_verifier", Some("short"), "invalid_grant"),
        ("code_verifier", Some(wrong.as_str()), "invalid_grant"),
    ] {
        let mut pairs: Vec<_> = good.iter().copied().filter(|(other, _)| *other != name).collect();
        pairs.extend(value.map(|value| (name, value)));
        assert_eq!(error(&post(&server, "/oauth2/token", &pairs).await), (400, code), "{name}={value:?}");
    }
    let twice: Vec<_> = good.iter().copied().chain([good[1]]).collect();
    assert_eq!(error(&post(&server, "/oauth2/token", &twice).await), (400, "invalid_request"));
    assert!(post(&server, "/oauth2/token", &good).await.status.is_success(), "none of it used the code up");
    let device = [("client_id", "unknown"), ("scope", "x")];
    assert_eq!(error(&post(&server, "/oauth2/device", &device).await), (401, "invalid_client"));
    let device = [("client_id", app.client_id.as_str()), ("scope", "openid")];
    assert_eq!(error(&post(&server, "/oauth2/device", &device).await), (400, "invalid_scope"));
}

#[tokio::test]
async fn a_registration_is_refused_by_the_codes_of_rfc_7591() {
    let server = TestServer::new(104).await;
    let nobody = server.anonymous();
    for (body, code) in [
        (json!({}), "invalid_client_metadata"),
        (json!([]), "invalid_client_metadata"),
        (json!({"client_uri": "https://example.com"}), "invalid_redirect_uri"),
        (
            json!({"client_uri": "https://example.com", "redirect_uris": ["https://evil.org"]}),
            "invalid_redirect_uri",
        ),
        (json!({"client_uri": "ftp://example.com", "redirect_uris": []}), "invalid_client_metadata"),
    ] {
        let answer = nobody.post("/oauth2/registration", body.clone()).await;
        assert_eq!(error(&answer), (400, code), "{body}");
    }
    let form = nobody.send(Method::POST, "/oauth2/registration", FORM, form(&[("a", "b")]).into()).await;
    assert_eq!(error(&form), (400, "invalid_client_metadata"));
}
