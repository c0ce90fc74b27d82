use proptest::prelude::*;
use url::Url;

use super::ApplicationType::{self, Native, Web};
use super::{ClientUri, RedirectUri, ResponseMode};

fn takes(home: &str, kind: ApplicationType, uri: &str) -> bool {
    RedirectUri::parse(uri, kind, &ClientUri::parse(home).unwrap()).is_ok()
}

#[test]
fn the_specification_s_examples_of_web_clients_hold() {
    let web = |uri| takes("https://example.com/", Web, uri);
    for good in [
        "https://example.com/callback",
        "https://app.example.com/callback",
        "https://example.com:5173/?query=value",
    ] {
        assert!(web(good), "{good}");
    }
    for bad in [
        "https://example.com/callback#fragment",
        "https://example.com/callback#",
        "http://example.com/callback",
        "http://localhost/",
        "https://app.com/callback",
        "https:example.com/callback",
        "https:/example.com/callback",
        "https:///example.com/callback",
        "https://evilexample.com/callback",
        "https://example.com.evil.org/callback",
        "https://user@example.com/callback",
        "https://user:password@example.com/callback",
        "https://example.com@evil.org/callback",
        "https:\\\\evil.org\\callback",
        "https://example.com\\@evil.org/",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://ex\u{e4}mple.com/",
        "https://a;script-src'unsafe-inline'.example.com/",
        "https://a,b.example.com/",
        "com.example:/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "",
        "callback",
        "//example.com/callback",
    ] {
        assert!(!web(bad), "{bad}");
    }
}

#[test]
fn the_specification_s_examples_of_native_clients_hold() {
    let native = |uri| takes("https://example.com/", Native, uri);
    for good in [
        "com.example.app:/callback",
        "com.example:/",
        "com.example:callback",
        "http://localhost/callback",
        "http://127.0.0.1/callback",
        "http://[::1]/callback",
        "https://example.com/claimed",
        "http://127.0.0.1",
    ] {
        assert!(native(good), "{good}");
    }
    for bad in [
        "example:/callback",
        "com.example.app://callback",
        "https://localhost/callback",
        "http://localhost:1234/callback",
        "http://example.com/callback",
        "http://127.0.0.2/callback",
        "http://localhost.evil.org/",
        "http://user@localhost/",
        "com.examples:/",
        "com.example-evil:/",
        "com:/callback",
        "javascript:alert(1)",
        "intent:/callback",
        "https://evil.org/claimed",
    ] {
        assert!(!native(bad), "{bad}");
    }
    assert!(!takes("https://localhost/", Native, "localhost:/callback"), "one label vouches for nothing");
    assert!(!takes("https://127.0.0.1/", Native, "1.0.0.127:/callback"));
}

#[test]
fn what_element_registers_is_taken() {
    for uri in
        ["io.element.android:/", "io.element.elementx:/callback", "io.element.desktop:/vector/webapp/?a=b"]
    {
        assert!(takes("https://element.io", Native, uri), "{uri}");
    }
    assert!(takes("https://app.element.io/", Web, "https://app.element.io/?no_universal_links=true"));
}

#[test]
fn a_developer_s_own_web_client_is_taken_where_its_home_is_loopback_too() {
    assert!(takes("http://localhost:8080/", Web, "http://localhost:8080/?no_universal_links=true"));
    assert!(takes("http://127.0.0.1:8080", Web, "http://127.0.0.1:9090/cb"));
    assert!(!takes("http://localhost:8080/", Web, "http://127.0.0.1:8080/"), "another origin");
    assert!(!takes("http://localhost:8080/", Web, "https://example.com/"));
    assert!(ClientUri::parse("http://example.com/").is_none());
    assert!(ClientUri::parse("https://user@example.com/").is_none());
    assert!(ClientUri::parse("ftp://example.com/").is_none());
}

fn registered(home: &str, kind: ApplicationType, uri: &str) -> RedirectUri {
    RedirectUri::parse(uri, kind, &ClientUri::parse(home).unwrap()).unwrap()
}

#[test]
fn only_the_registered_text_is_a_target_but_for_the_port_on_loopback() {
    let web = registered("https://example.com", Web, "https://example.com/cb?a=1");
    assert!(web.target("https://example.com/cb?a=1").is_some());
    for other in [
        "https://example.com/cb",
        "https://example.com/cb?a=1&b=2",
        "https://example.com/cb?a=1#x",
        "https://example.com:444/cb?a=1",
        "https://EXAMPLE.com/cb?a=1",
        "https://example.com/x/../cb?a=1",
    ] {
        assert!(web.target(other).is_none(), "{other}");
    }
    let native = registered("https://example.com", Native, "http://127.0.0.1/cb");
    for good in ["http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb"] {
        assert!(native.target(good).is_some(), "{good}");
    }
    for bad in [
        "http://localhost:80/cb",
        "http://127.0.0.1:1/other",
        "http://127.0.0.1:1/cb?x",
        "http://127.0.0.1:1/cb#x",
        "http://u@127.0.0.1:1/cb",
        "http://127.0.0.1.evil.org/cb",
        "https://127.0.0.1:1/cb",
    ] {
        assert!(native.target(bad).is_none(), "{bad}");
    }
    let dev = registered("http://localhost:8080", Web, "http://localhost:8080/");
    assert!(dev.target("http://localhost:8081/").is_none(), "a registered port is part of it");
}

#[test]
fn an_answer_stands_in_the_part_that_was_asked_for_and_keeps_the_rest() {
    let target = registered("https://example.com", Web, "https://example.com/cb?a=1")
        .target("https://example.com/cb?a=1")
        .unwrap();
    let answer = [("state", "x y&#"), ("code", "abc")];
    assert_eq!(
        target.with_answer(ResponseMode::Query, &answer),
        "https://example.com/cb?a=1&state=x+y%26%23&code=abc"
    );
    assert_eq!(
        target.with_answer(ResponseMode::Fragment, &answer),
        "https://example.com/cb?a=1#state=x+y%26%23&code=abc"
    );
    let app = registered("https://example.com", Native, "com.example:cb").target("com.example:cb").unwrap();
    assert_eq!(app.with_answer(ResponseMode::Query, &[("code", "1")]), "com.example:cb?code=1");
}

#[test]
fn a_policy_names_the_place_and_no_more() {
    let source =
        |home, kind, uri: &str, asked: &str| registered(home, kind, uri).target(asked).unwrap().csp_source();
    assert_eq!(
        source("https://example.com", Web, "https://example.com/cb", "https://example.com/cb"),
        "https://example.com"
    );
    let loopback = source("https://example.com", Native, "http://127.0.0.1/", "http://127.0.0.1:55/");
    assert_eq!(loopback, "http://127.0.0.1:55");
    assert_eq!(source("https://example.com", Native, "http://[::1]/", "http://[::1]:55/"), "http:");
    assert_eq!(
        source("https://example.com", Native, "com.example.app:/", "com.example.app:/"),
        "com.example.app:"
    );
}

proptest! {
    #[test]
    fn whatever_is_taken_of_a_web_client_leads_to_its_host_alone(uri in "https?:[/\\\\]{0,3}[a-z.@:\\[\\]0-9%\\\\/?#-]{0,40}") {
        if takes("https://example.com/", Web, &uri) {
            let url = Url::parse(&uri).unwrap();
            let host = url.host_str().unwrap();
            prop_assert!(host == "example.com" || host.ends_with(".example.com"), "{uri}");
            prop_assert!(url.username().is_empty() && url.fragment().is_none());
        }
    }

    #[test]
    fn an_answer_never_changes_where_it_goes(state in "\\PC{0,40}", fragment in any::<bool>()) {
        let target = registered("https://example.com", Web, "https://example.com/cb").target("https://example.com/cb").unwrap();
        let mode = if fragment { ResponseMode::Fragment } else { ResponseMode::Query };
        let answer = target.with_answer(mode, &[("state", &state)]);
        prop_assert!(answer.bytes().all(|b| b.is_ascii_graphic()));
        let url = Url::parse(&answer).unwrap();
        prop_assert_eq!((url.host_str(), url.path()), (Some("example.com"), "/cb"));
        let sent = if fragment { url.fragment() } else { url.query() };
        let read: Vec<_> = url::form_urlencoded::parse(sent.unwrap().as_bytes()).collect();
        prop_assert_eq!(read, vec![("state".into(), state.into())]);
    }
}
